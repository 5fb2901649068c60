"""Load the weights of a user's module from a state dict, or from a checkpoint that contains one."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cgan_export.errors import ExportError
from cgan_runtime.errors import printable
from cgan_training.archive import load_archive_with_advice
from cgan_training.errors import ModelFileError, one_line

StateDict = dict[str, Tensor]
_REMEDY = "write it with torch.save(module.state_dict(), path)"
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)*")  # prefixes of DataParallel and torch.compile()

_logger = logging.getLogger(__name__)


def load_weights(module: nn.Module, name: str, path: Path) -> None:
    """Load weights into a module.

    Args:
        module: the module that receives the weights.
        name: name of the module, for messages.
        path: a PyTorch file of tensors and plain values. The state dict may be nested in other
            dicts, as in a checkpoint. Its keys may have a common prefix, such as "generator.".

    Raises:
        ModelFileError: the file cannot be read, or contains no state dict.
        ExportError: no state dict in the file fits the module, or more than one does.
    """
    damaged = "{path} is not a state dict of tensors, or is damaged ({reason}); " + _REMEDY
    content = load_archive_with_advice(path, ModelFileError, damaged, "check --weights")
    states = dict(_find_state_dicts(content, ""))
    if not states:
        keys = f" with the keys {', '.join(map(str, content))}" if isinstance(content, dict) else ""
        raise ModelFileError(
            f"{path} holds a {type(content).__name__}{printable(keys):.120}, not a state dict; "
            f"{_REMEDY}"
        )
    fitting = {
        (key_path + prefix).rstrip("."): state
        for key_path, each in states.items()
        for prefix, state in _match_state_dict(each, module.state_dict())
    }
    if len(fitting) > 1:
        raise ExportError(
            f"{path} holds the weights of {name} at {printable(' and '.join(fitting)):.200}; write "
            "one of them with torch.save()"
        )
    if fitting:
        ((key_path, state),) = fitting.items()
        _load(module, name, path, state)
        if key_path:
            _logger.info("note: loaded the weights at %s in %s", printable(key_path), path)
        return
    if len(states) > 1:
        raise ExportError(
            f"{path} holds {len(states)} dicts of tensors, none of which fits {name}; {_REMEDY}"
        )
    _load(module, name, path, next(iter(states.values())))


def _load(module: nn.Module, name: str, path: Path, state: StateDict) -> None:
    try:
        module.load_state_dict(state)
    except Exception as error:
        reason = printable(one_line(error)).removeprefix("RuntimeError: ")
        raise ExportError(
            f"the weights in {path} do not fit {name}: {reason}; give the state dict of this module"
        ) from error


def _find_state_dicts(content: Any, key_path: str) -> Iterator[tuple[str, StateDict]]:
    """Yield each dict that contains tensors, with its path of keys, such as "models.generator."."""
    if not isinstance(content, dict):
        return
    state = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if state and all(isinstance(key, str) for key in state):
        yield key_path, state
    for key, value in content.items():
        if isinstance(key, str):
            yield from _find_state_dicts(value, f"{key_path}{key}.")


def _match_state_dict(state: StateDict, expected: StateDict) -> Iterator[tuple[str, StateDict]]:
    """Yield each prefix under which a state dict has the expected names, and the weights there."""
    names = {_without_wrapper(name): name for name in expected}
    actual = {_without_wrapper(name): value for name, value in state.items()}
    if len(actual) < len(state) or len(names) < len(expected):  # two names became equal
        names, actual = {name: name for name in expected}, state
    first = next(iter(names), "")
    prefixes = [name.removesuffix(first) for name in actual if name.endswith(first)]
    for prefix in prefixes if first else []:
        part = {
            name.removeprefix(prefix): value
            for name, value in actual.items()
            if name.startswith(prefix) and name != "n_averaged"  # the counter of AveragedModel
        }
        if part.keys() == names.keys() and (not prefix or prefix.endswith(".")):
            yield prefix, {names[name]: value for name, value in part.items()}


def _without_wrapper(name: str) -> str:
    """Remove the prefixes of DataParallel and torch.compile() from the name of a weight."""
    return _WRAPPERS.sub("", name).replace("._orig_mod.", ".")
