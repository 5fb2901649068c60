"""What a run started from: facts of another run, in a config, a checkpoint and a model."""

import json
from typing import Any

KINDS: dict[str, type] = {
    "recipe": dict,
    "dataset": str,  # its name
    "threads": int,
    "epochs": int,
    "steps": int,
    "seconds": float,
}
OF_RECIPE: dict[str, type] = {"name": str, "seed": int}
LONGEST = 100  # runs that started from each other


def check_provenance(found: Any) -> dict[str, Any]:
    """Return what a file says that a run started from.

    Args:
        found: the facts in KINDS, and, under "start", those of what that run started from, if any.

    Raises:
        TypeError, ValueError: it is not that.
    """
    run = found
    for _ in range(LONGEST):
        _require_kinds(run, KINDS)
        _require_kinds(run["recipe"], OF_RECIPE)
        if "start" not in run:
            break
        run = run["start"]
    else:
        raise ValueError("too many starts")
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()  # it goes into an ONNX file
    return dict(found)


def _require_kinds(found: Any, kinds: dict[str, type]) -> None:
    if not isinstance(found, dict) or not all(
        type(found.get(key)) is kind for key, kind in kinds.items()
    ):
        raise TypeError(f"a start is of {', '.join(kinds)}")
