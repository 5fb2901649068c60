"""The forms in which a module of the user takes noise and labels.

- In any order, and among other parameters with defaults, if the names of forward()'s parameters
  tell noise and label. Otherwise as the first two, and then in the other order.
- The noise as [batch, noise_dim], or as images of one pixel, [batch, noise_dim, 1, 1].
- The labels as int64 [batch] or [batch, 1], as one-hot vectors [batch, classes] or
  [batch, classes, 1, 1], or as float32 [batch] or [batch, 1].
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

_LABELS = re.compile(r"label|class|cls|digit|(^|_)(cond|one_?hot|target)|^(c|cat|ids?|labs?|ys?)$")
_NOISES = re.compile(r"noise|latent|(^|_)rand|^(code|eps|inputs?|x|zs?)$")
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
_PLAIN = next(iter(_LABEL_FORMS))
_TRIED = 3  # images

_log = logging.getLogger(__name__)


class _Order(NamedTuple):
    """Where forward() takes noise and label: their names, or none where these do not matter."""

    names: tuple[str, str] | None = None
    label_is_first: bool = False


class AdaptedGenerator(nn.Module):
    """A module of the user, with the inputs of the model contract."""

    def __init__(
        self, module: nn.Module, classes: int, order: _Order, noise_axes: int, label_form: str
    ) -> None:
        super().__init__()
        self.module, self.classes, self.order = module, classes, order
        self.noise_axes, self.label_form = noise_axes, label_form

    @property
    def is_needed(self) -> bool:
        """Whether the module needs more than forward(noise, label)."""
        return (self.order, self.noise_axes, self.label_form) != (_Order(), 2, _PLAIN)

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

    If it returns images in no form, the first form in which it succeeds is assumed.
    """
    noise, label = torch.randn(_TRIED, noise_dim), torch.arange(_TRIED) % classes
    forms = product(_orders(module), (2, 4), _LABEL_FORMS)
    candidates = [AdaptedGenerator(module, classes, *form).eval() for form in forms]
    succeeding = []
    for generator in candidates:
        returned = _returned(generator, noise, label)
        if _is_image(returned):
            break
        if returned is not None:
            succeeding.append(generator)
    else:
        generator = (*succeeding, *candidates)[0]
    if generator.noise_axes == 4:
        _log.info("note: %s gets the noise as [batch, %d, 1, 1]", name, noise_dim)
    if generator.label_form != _PLAIN:
        form = generator.label_form.replace("classes", str(classes))
        _log.info("note: %s gets the labels as %s", name, form)
    if generator.order.label_is_first:
        _log.info("note: %s gets the labels first", name)
    return generator if generator.is_needed else module


def _returned(generator: nn.Module, noise: Tensor, label: Tensor) -> Any:
    try:
        return generator(noise.clone(), label.clone())
    except Exception:  # noqa: BLE001 - any module may fail
        return None


def _is_image(value: Any) -> bool:
    if not isinstance(value, Tensor) or value.ndim != 4:
        return False
    return len(value) == _TRIED and value.shape[1] in CHANNELS


def check_signature(module: nn.Module, name: str) -> None:
    """Raise ExportError unless forward() can be called with noise and label."""
    try:
        signature = inspect.signature(module.forward)
        names = _names(module)
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
    """Return the signature of a module, for messages."""
    if isinstance(module, AdaptedGenerator):
        module = module.module
    return f"forward({', '.join(inspect.signature(module.forward).parameters)}) of {name}"


def _orders(module: nn.Module) -> list[_Order]:
    """Return the orders to try."""
    names = _names(module)
    if names is None:
        return [_Order(), _Order(label_is_first=True)]
    return [_Order() if names == _positional(module)[:2] else _Order(names)]


def _names(module: nn.Module) -> tuple[str, str] | None:
    """Return the names of the parameters for noise and label, if their names tell them."""
    parameters = inspect.signature(module.forward).parameters
    if NOISE in parameters and LABEL in parameters:
        return NOISE, LABEL
    usable = [
        name
        for name, each in parameters.items()
        if each.default in (each.empty, None)
        and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    ]
    labels = [name for name in usable if _LABELS.search(name.lower())]
    noises = [name for name in usable if name not in labels and _NOISES.search(name.lower())]
    others = [name for name in usable if name not in (*labels, *noises)][:1]
    noises, labels = noises or others, labels or others
    return (noises[0], labels[0]) if noises and labels and noises != labels else None


def _positional(module: nn.Module) -> tuple[str, ...]:
    return tuple(
        name
        for name, each in inspect.signature(module.forward).parameters.items()
        if each.kind == each.POSITIONAL_OR_KEYWORD
    )
