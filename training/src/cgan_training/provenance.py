"""The record of the run that a new run started from.

`cgan-train --start-from` stores it under "started_from" in the config, checkpoint and model file.
"""

import json
from typing import Any

FIELD_TYPES: dict[str, type] = {
    "recipe": dict,
    "dataset": str,  # name of the dataset
    "threads": int,
    "epochs": int,
    "steps": int,
    "seconds": float,
}
RECIPE_FIELD_TYPES: dict[str, type] = {"name": str, "seed": int}
MAX_CHAIN_LENGTH = 100  # largest number of runs that started from one another


def check_provenance(record: Any) -> dict[str, Any]:
    """Check the record of a run, a dict with the keys of FIELD_TYPES, and return it.

    If that run itself started from another run, "started_from" holds the record of the other run.

    Raises:
        TypeError, ValueError: the record lacks a key, or a value has the wrong type.
    """
    run = record
    for _ in range(MAX_CHAIN_LENGTH):
        _require_types(run, FIELD_TYPES, "started_from")
        _require_types(run["recipe"], RECIPE_FIELD_TYPES, "started_from.recipe")
        if "started_from" not in run:
            break
        run = run["started_from"]
    else:
        raise ValueError(f"started_from records are nested more than {MAX_CHAIN_LENGTH} deep")
    # The export writes the record into the ONNX file's metadata as UTF-8 JSON.
    json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    return dict(record)


def _require_types(record: Any, types: dict[str, type], name: str) -> None:
    if not isinstance(record, dict) or {key: type(record.get(key)) for key in types} != types:
        keys = ", ".join(f"{key} ({expected.__name__})" for key, expected in types.items())
        raise TypeError(f"{name} must have the keys {keys}")
