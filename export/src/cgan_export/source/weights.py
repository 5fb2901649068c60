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

State = dict[str, Tensor]
_REMEDY = "write it with torch.save(module.state_dict(), path)"
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)*")  # of DataParallel and torch.compile()

_log = logging.getLogger(__name__)


def load_weights(module: nn.Module, name: str, path: Path) -> None:
    """Load weights into a module.

    Args:
        module: it gets the weights.
        name: of the module, for messages.
        path: a file that holds tensors and plain values only. The state dict may be in a dict of
            others, and its keys may have a common prefix, such as "module." or "generator.".

    Raises:
        ModelFileError: the file cannot be read, or contains no state dict.
        ExportError: it contains no weights of this module, or those of several.
    """
    damaged = "{path} is not a state dict of tensors, or is damaged ({reason}); " + _REMEDY
    content = load_archive_with_advice(path, ModelFileError, damaged, "check --weights")
    states = dict(_states(content, ""))
    if not states:
        keys = f" with the keys {', '.join(map(str, content))}" if isinstance(content, dict) else ""
        raise ModelFileError(
            f"{path} holds a {type(content).__name__}{printable(keys):.120}, not a state dict; "
            f"{_REMEDY}"
        )
    fitting = {
        (place + prefix).rstrip("."): state
        for place, each in states.items()
        for prefix, state in _fitting(each, module.state_dict())
    }
    if len(fitting) > 1:
        raise ExportError(
            f"{path} holds the weights of {name} at {printable(' and '.join(fitting)):.200}; write "
            "one of them with torch.save()"
        )
    for place, state in fitting.items():
        if place:
            _log.info("note: the weights are those at %s in %s", printable(place), path)
        _load(module, name, path, state)
        return
    if len(states) > 1:
        raise ExportError(
            f"{path} holds {len(states)} dicts of tensors, none of which fits {name}; {_REMEDY}"
        )
    _load(module, name, path, next(iter(states.values())))


def _load(module: nn.Module, name: str, path: Path, state: State) -> None:
    try:
        module.load_state_dict(state)
    except Exception as error:
        reason = printable(one_line(error)).removeprefix("RuntimeError: ")
        raise ExportError(
            f"the weights in {path} do not fit {name}: {reason}; give the state dict of this module"
        ) from error


def _states(content: Any, place: str) -> Iterator[tuple[str, State]]:
    """Yield the dicts with tensors, and where they are."""
    if not isinstance(content, dict):
        return
    state = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if state and all(isinstance(key, str) for key in state):
        yield place, state
    for key, value in content.items():
        if isinstance(key, str):
            yield from _states(value, f"{place}{key}.")


def _fitting(state: State, expected: State) -> Iterator[tuple[str, State]]:
    """Yield the weights in a state dict that have the expected names after a prefix."""
    names = {_plain(name): name for name in expected}
    given = {_plain(name): value for name, value in state.items()}
    if len(given) < len(state) or len(names) < len(expected):
        names, given = {name: name for name in expected}, state
    first = next(iter(names), "")
    prefixes = [name.removesuffix(first) for name in given if name.endswith(first)]
    for prefix in prefixes if first else []:
        part = {
            name.removeprefix(prefix): value
            for name, value in given.items()
            if name.startswith(prefix) and name != "n_averaged"  # of AveragedModel
        }
        if part.keys() == names.keys() and (not prefix or prefix.endswith(".")):
            yield prefix, {names[name]: value for name, value in part.items()}


def _plain(name: str) -> str:
    return _WRAPPERS.sub("", name).replace("._orig_mod.", ".")
