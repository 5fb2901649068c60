"""Choose the device to train on."""

import torch

from cgan_training.errors import DeviceError
from cgan_training.hardware.processes import SINGLE_PROCESS, Processes


def choose_device(name: str, processes: Processes = SINGLE_PROCESS) -> torch.device:
    """Return this process's device. On a host with several processes, each has its own CUDA device.

    Args:
        name: one of DEVICES, or "auto" for the first available one of cuda, mps and cpu.
        processes: the processes that train together.

    Raises:
        DeviceError: the device is not available, or there are fewer devices than processes.
    """
    alone, rank = processes.size == 1, processes.local_rank
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    available = {"cuda": cuda, "mps": mps, "cpu": True}
    if name == "auto":
        name = next(key for key in available if available[key] and (alone or key != "mps"))
    if not available[name]:
        raise DeviceError(f"PyTorch finds no {name} device; use --device cpu")
    if name == "mps" and not alone:
        raise DeviceError("several processes cannot share one mps device; use --device cpu")
    if name != "cuda" or alone:
        return torch.device(name)
    if rank >= torch.cuda.device_count():
        raise DeviceError(
            f"process {rank} of this host needs a CUDA device of its own, but there are "
            f"{torch.cuda.device_count()}; lower --nproc-per-node, or use --device cpu"
        )
    torch.cuda.set_device(rank)  # NCCL uses the current device
    return torch.device("cuda", rank)
