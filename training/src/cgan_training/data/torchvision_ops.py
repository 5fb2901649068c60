"""Import torchvision.datasets even if torchvision was built for a different torch.

PyPI's torchvision wheel is built for CUDA. With a CPU build of torch its compiled operators do not
load, and `import torchvision` fails with "operator torchvision::nms does not exist", because one of
its modules registers a fake implementation of that operator. Datasets do not use these operators,
so it is enough to declare them.
"""

import importlib
from types import ModuleType

import torch

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
OPERATORS = ("nms", "qnms")

_libraries: list[torch.library.Library] = []  # keeps the declarations alive


def import_torchvision_datasets() -> ModuleType:
    """Return the module torchvision.datasets; declare the missing operators if its import fails.

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
    _libraries.append(library)
    return importlib.import_module("torchvision.datasets")
