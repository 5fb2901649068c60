"""Where to train."""

import torch

from cgan_training.errors import DeviceError
from cgan_training.hardware.processes import SINGLE_PROCESS, ProcessGroup


def choose_device(name: str, world: ProcessGroup = SINGLE_PROCESS) -> torch.device:
    """Return this process's device of a name; "auto" takes the first of cuda, mps and cpu.

    Raises:
        DeviceError: a device was asked for that is not here, or not one for each process.
    """
    here = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(each for each in here if here[each] and (each != "mps" or world.size == 1))
    if not here[name]:
        raise DeviceError(f"torch finds no {name} device here; use --device cpu")
    if name == "mps" and world.size > 1:
        raise DeviceError("several processes cannot share one mps device; use --device cpu")
    return world.device(torch.device(name))
