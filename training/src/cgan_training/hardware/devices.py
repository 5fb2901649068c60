"""Choose the device to train on."""

import torch

from cgan_training.errors import DeviceError
from cgan_training.hardware.processes import SINGLE_PROCESS, ProcessGroup


def choose_device(name: str, processes: ProcessGroup = SINGLE_PROCESS) -> torch.device:
    """Return this process's device.

    Args:
        name: one of DEVICES, or "auto" for the first available one of cuda, mps and cpu.
        processes: the processes that train together.

    Raises:
        DeviceError: the device is not available, or not for every process.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        usable = (each for each in available if each != "mps" or processes.size == 1)
        name = next(each for each in usable if available[each])
    if not available[name]:
        raise DeviceError(f"PyTorch finds no {name} device; use --device cpu")
    if name == "mps" and processes.size > 1:
        raise DeviceError("several processes cannot share one mps device; use --device cpu")
    return processes.device(torch.device(name))
