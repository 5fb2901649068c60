"""The hardware: devices, numeric precision, CUDA graphs and data-parallel processes."""

DEVICES = ("cpu", "cuda", "mps")
