"""Load a dataset with a function that the user wrote, named as "my_package.my_module:load".

The function is called with the keyword argument `train`: True for the training part, False for the
test part. It returns images, uint8 [n, channels, height, width], labels, integers [n], and the
class names, one per label. Images and labels are numpy arrays or tensors. docs/extend.md has an
example.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cgan_runtime.model_file.contract import CHANNELS
from cgan_training.data.class_names import check_class_names
from cgan_training.data.dataset import Dataset
from cgan_training.errors import UserCodeError
from cgan_training.user_code import explain_failures, import_object


def load(name: str, *, train: bool) -> Dataset:
    """Load a part of a dataset.

    Raises:
        UserCodeError: the function cannot be imported, fails, or returns wrong types or shapes.
        DatasetError: the labels do not fit the images or the class names.
    """
    function = import_object(name)
    call = f"{name}(train={train})"
    with explain_failures(f"{call} fails, or does not return images, labels and class names"):
        images, labels, class_names = function(train=train)
    images = _tensor(images, f"the images of {name}", "uint8 [n, channels, height, width]")
    labels = _tensor(labels, f"the labels of {name}", "integers [n]")
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in CHANNELS:
        raise UserCodeError(
            f"the images of {name} are {_describe(images)}; they must be uint8 [n, channels, "
            "height, width] with 1 or 3 channels"
        )
    is_integer = not labels.is_floating_point() and not labels.is_complex()
    if not is_integer or labels.dtype == torch.bool or labels.ndim != 1:
        raise UserCodeError(
            f"the labels of {name} are {_describe(labels)}; they must be integers [n]"
        )
    names = check_class_names(list(class_names), f"the class names of {name}")
    return Dataset(name, name, images.contiguous(), labels.to(torch.int64), names)


def _tensor(value: Any, what: str, expected: str) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    try:
        return torch.from_numpy(np.ascontiguousarray(value))
    except TypeError as error:
        raise UserCodeError(
            f"{what} are {type(value).__name__}; they must be {expected}"
        ) from error


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
