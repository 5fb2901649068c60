"""The forms in which a module of the user takes noise and labels.

- In any order, if the names of forward()'s parameters tell them apart.
- The noise as [batch, noise_dim], or as images of one pixel, [batch, noise_dim, 1, 1].
- The labels as int64 [batch], or as one-hot vectors [batch, classes] or [batch, classes, 1, 1].
"""

import inspect
import logging
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from cgan_export.errors import ExportError
from cgan_runtime.model_file.contract import LABEL, NOISE

_NOISES = {NOISE, "code", "input", "latent", "latents", "x", "z"}
_LABELS = {
    *("c", "class_ids", "class_label", "class_labels", "classes", "cls", "condition", "digit"),
    *(LABEL, "labels", "one_hot", "onehot", "target", "targets", "y"),
}
_AXES = list(product((2, 4), (1, 2, 4)))  # of noise and label, in the order in which they are tried
_TRIED = 2  # images

_log = logging.getLogger(__name__)


class AdaptedGenerator(nn.Module):
    """A module of the user, with the inputs of the model contract."""

    def __init__(self, module: nn.Module, classes: int, noise_axes: int, label_axes: int) -> None:
        super().__init__()
        self.module, self.classes = module, classes
        self.noise_axes, self.label_axes = noise_axes, label_axes
        names = list(inspect.signature(module.forward).parameters)[:2]
        self.takes_names = _takes_names(module) and names != [NOISE, LABEL]
        self.label_is_first = names[0] in _LABELS and names[-1] in _NOISES

    @property
    def is_needed(self) -> bool:
        """Whether the module needs more than forward(noise, label)."""
        axes = self.noise_axes, self.label_axes
        return axes != _AXES[0] or self.takes_names or self.label_is_first

    def forward(self, noise: Tensor, label: Tensor) -> Any:
        """Call the module with float32 noise [batch, noise_dim] and int64 label [batch]."""
        if self.noise_axes == 4:
            noise = noise[:, :, None, None]
        if self.label_axes > 1:
            label = one_hot(label, self.classes).float()
        if self.label_axes == 4:
            label = label[:, :, None, None]
        if self.takes_names:
            return self.module(noise=noise, label=label)
        return self.module(label, noise) if self.label_is_first else self.module(noise, label)


def adapt(module: nn.Module, name: str, noise_dim: int, classes: int) -> nn.Module:
    """Return the module, or an AdaptedGenerator if it takes its inputs in another form.

    If it fails in every form, that of the model contract is assumed.
    """
    noise, label = torch.randn(_TRIED, noise_dim), torch.arange(_TRIED) % classes
    candidates = [AdaptedGenerator(module, classes, *axes).eval() for axes in _AXES]
    generator = next((each for each in candidates if _succeeds(each, noise, label)), candidates[0])
    if generator.noise_axes == 4:
        _log.info("note: %s gets the noise as [batch, %d, 1, 1]", name, noise_dim)
    if generator.label_axes > 1:
        shape = f"[batch, {classes}{', 1, 1' if generator.label_axes == 4 else ''}]"
        _log.info("note: %s gets the labels as one-hot vectors %s", name, shape)
    return generator if generator.is_needed else module


def _succeeds(generator: nn.Module, noise: Tensor, label: Tensor) -> bool:
    try:
        generator(noise, label)
    except Exception:  # noqa: BLE001 - any module may fail
        return False
    return True


def check_signature(module: nn.Module, name: str) -> None:
    """Raise ExportError unless forward() can be called with noise and label."""
    try:
        signature = inspect.signature(module.forward)
        if _takes_names(module):
            signature.bind(noise=None, label=None)
        else:
            signature.bind(None, None)
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"{describe_forward(module, name)} must take (noise, label): {error}; wrap the module "
            "in one with that signature"
        ) from error


def describe_forward(module: nn.Module, name: str) -> str:
    """Return the signature of a module, for messages."""
    if isinstance(module, AdaptedGenerator):
        module = module.module
    return f"forward({', '.join(inspect.signature(module.forward).parameters)}) of {name}"


def _takes_names(module: nn.Module) -> bool:
    """Return whether forward() can be called with the keywords `noise` and `label`."""
    parameters = inspect.signature(module.forward).parameters
    keywords = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return all(name in parameters and parameters[name].kind in keywords for name in (NOISE, LABEL))
