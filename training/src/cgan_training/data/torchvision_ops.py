"""Import torchvision beside a torch that it was not built for.

The torchvision wheel on the package index is built for CUDA. Next to a CPU build of torch its
compiled operators do not load, and `import torchvision` ends in "operator torchvision::nms does
not exist", because one of its modules registers a fake for an operator that nobody has defined.
Reading data sets needs none of these operators, so naming the missing ones is enough.
"""

import importlib
from types import ModuleType

import torch

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
OPERATORS = ("nms", "qnms")

_definitions: list[torch.library.Library] = []  # an operator lives as long as its Library


def import_torchvision_datasets() -> ModuleType:
    """Return torchvision.datasets, whichever build of torch it stands beside.

    Where torchvision imports by itself, nothing is done to it.

    Raises:
        ImportError: torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision.datasets")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    library = torch.library.Library("torchvision", "DEF")
    for operator in OPERATORS:
        library.define(f"{operator}{SCHEMA}")
    _definitions.append(library)
    return importlib.import_module("torchvision.datasets")
