"""The forms in which a user's module may take noise and labels.

- Order: if the names of forward()'s parameters identify noise and label, any order works, and
  forward() may have other parameters with defaults. Otherwise noise and label are the first two
  parameters, in this order or swapped.
- Noise: [batch, noise_dim], or images of one pixel, [batch, noise_dim, 1, 1].
- Labels: int64 [batch] or [batch, 1], one-hot vectors [batch, classes] or [batch, classes, 1, 1],
  or float32 [batch] or [batch, 1].
"""

import inspect
import logging
import re
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from cgan_export.errors import ExportError
from cgan_runtime.model_file.contract import CHANNELS, LABEL, NOISE

_LABEL_NAMES = re.compile(
    r"label|class|cls|digit|(^|_)(cond|one_?hot|target)|^(c|cat|ids?|labs?|ys?)$"
)
_NOISE_NAMES = re.compile(r"noise|latent|(^|_)rand|^(code|eps|inputs?|x|zs?)$")
_LABEL_FORMS: dict[str, Callable[[Tensor, int], Tensor]] = {  # in the order in which they are tried
    "int64 [batch]": lambda label, _: label,
    "one-hot vectors [batch, classes]": lambda label, classes: one_hot(label, classes).float(),
    "int64 [batch, 1]": lambda label, _: label[:, None],
    "float32 [batch]": lambda label, _: label.float(),
    "float32 [batch, 1]": lambda label, _: label[:, None].float(),
    "one-hot vectors [batch, classes, 1, 1]": lambda label, classes: one_hot(label, classes)[
        :, :, None, None
    ].float(),
}
_INT64_LABELS = next(iter(_LABEL_FORMS))
_TRIED_IMAGES = 3

_logger = logging.getLogger(__name__)


class _ParameterOrder(NamedTuple):
    """How forward() is called: by parameter names, or by position if names is None."""

    names: tuple[str, str] | None = None  # of noise and label
    label_is_first: bool = False


class AdaptedGenerator(nn.Module):
    """A user's module with the inputs of the model contract."""

    def __init__(
        self,
        module: nn.Module,
        classes: int,
        order: _ParameterOrder,
        noise_axes: int,
        label_form: str,
    ) -> None:
        super().__init__()
        self.module, self.classes, self.order = module, classes, order
        self.noise_axes, self.label_form = noise_axes, label_form

    @property
    def differs_from_contract(self) -> bool:
        """Whether the module's own inputs differ from the inputs of the model contract."""
        contract = _ParameterOrder(), 2, _INT64_LABELS
        return (self.order, self.noise_axes, self.label_form) != contract

    def forward(self, noise: Tensor, label: Tensor) -> Any:
        """Call the module with float32 noise [batch, noise_dim] and int64 label [batch]."""
        if self.noise_axes == 4:
            noise = noise[:, :, None, None]
        label = _LABEL_FORMS[self.label_form](label, self.classes)
        if self.order.names:
            return self.module(**dict(zip(self.order.names, (noise, label), strict=True)))
        return self.module(label, noise) if self.order.label_is_first else self.module(noise, label)


def adapt(module: nn.Module, name: str, noise_dim: int, classes: int) -> nn.Module:
    """Return the module, or an AdaptedGenerator if it takes its inputs in another form.

    The first form in which it returns images is used, otherwise the first one in which forward()
    does not raise.
    """
    noise, label = torch.randn(_TRIED_IMAGES, noise_dim), torch.arange(_TRIED_IMAGES) % classes
    forms = product(_orders(module), (2, 4), _LABEL_FORMS)
    candidates = [AdaptedGenerator(module, classes, *form).eval() for form in forms]
    generator = _first_working(candidates, noise, label)
    if generator.noise_axes == 4:
        _logger.info("note: %s is called with noise [batch, %d, 1, 1]", name, noise_dim)
    if generator.label_form != _INT64_LABELS:
        form = generator.label_form.replace("classes", str(classes))
        _logger.info("note: %s is called with the labels as %s", name, form)
    if generator.order.label_is_first:
        _logger.info("note: %s is called as forward(label, noise)", name)
    return generator if generator.differs_from_contract else module


def _first_working(
    candidates: list[AdaptedGenerator], noise: Tensor, label: Tensor
) -> AdaptedGenerator:
    """Return the first candidate that returns images.

    If there is none, return the first that does not raise; if all raise, return the first.
    """
    succeeding = []
    for candidate in candidates:
        returned = _try_forward(candidate, noise, label)
        if _is_image(returned):
            return candidate
        if returned is not None:
            succeeding.append(candidate)
    return (*succeeding, *candidates)[0]


def _try_forward(generator: nn.Module, noise: Tensor, label: Tensor) -> Any:
    """Call a module; return None if it raises an error."""
    try:
        return generator(noise.clone(), label.clone())
    except Exception:  # noqa: BLE001 - any module may fail
        return None


def _is_image(value: Any) -> bool:
    if not isinstance(value, Tensor) or value.ndim != 4:
        return False
    return len(value) == _TRIED_IMAGES and value.shape[1] in CHANNELS


def check_signature(module: nn.Module, name: str) -> None:
    """Raise ExportError unless forward() can be called with noise and label."""
    try:
        signature = inspect.signature(module.forward)
        names = _input_names(module)
        if names:
            signature.bind(**dict.fromkeys(names))
        else:
            signature.bind(None, None)
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"{describe_forward(module, name)} must take (noise, label): {error}; wrap the module "
            "in one with that signature"
        ) from error


def describe_forward(module: nn.Module, name: str) -> str:
    """Return the parameters of forward() and the name of a module, for messages."""
    if isinstance(module, AdaptedGenerator):
        module = module.module
    return f"forward({', '.join(inspect.signature(module.forward).parameters)}) of {name}"


def _orders(module: nn.Module) -> list[_ParameterOrder]:
    """Return the orders to try."""
    names = _input_names(module)
    if names is None:
        return [_ParameterOrder(), _ParameterOrder(label_is_first=True)]
    are_first = names == _positional_parameters(module)[:2]
    return [_ParameterOrder() if are_first else _ParameterOrder(names)]


def _input_names(module: nn.Module) -> tuple[str, str] | None:
    """Return the names of the noise and label parameters, or None if they are not recognized."""
    parameters = inspect.signature(module.forward).parameters
    if NOISE in parameters and LABEL in parameters:
        return NOISE, LABEL
    usable = [
        name
        for name, each in parameters.items()
        if each.default in (each.empty, None)
        and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    ]
    labels = [name for name in usable if _LABEL_NAMES.search(name.lower())]
    noises = [name for name in usable if name not in labels and _NOISE_NAMES.search(name.lower())]
    others = [name for name in usable if name not in (*labels, *noises)][:1]
    noises, labels = noises or others, labels or others
    return (noises[0], labels[0]) if noises and labels and noises != labels else None


def _positional_parameters(module: nn.Module) -> tuple[str, ...]:
    return tuple(
        name
        for name, each in inspect.signature(module.forward).parameters.items()
        if each.kind == each.POSITIONAL_OR_KEYWORD
    )
