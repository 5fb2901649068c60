"""The hardware: devices, numeric precision, CUDA graphs and several processes."""

DEVICES = ("cpu", "cuda", "mps")
