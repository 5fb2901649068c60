"""The metrics of a run's epochs, and metrics.jsonl, which holds them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cgan_training.errors import CheckpointError, one_line
from cgan_training.input_files import read_bounded

MAX_METRICS_BYTES = 2**26


def to_json_lines(metrics: Iterable[Mapping[str, Any]]) -> str:
    """Return the content of metrics.jsonl: one line per epoch."""
    return "".join(f"{json.dumps(epoch, allow_nan=False)}\n" for epoch in metrics)


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """Read a run's metrics.jsonl: one table per epoch.

    Raises:
        CheckpointError: the file is missing, damaged or too large.
    """
    path = run_dir / "metrics.jsonl"
    try:
        lines = read_bounded(path, MAX_METRICS_BYTES).decode("utf-8").splitlines()
        return [dict(json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"cannot read {path}, or it is damaged ({one_line(error)}); check the path"
        ) from error
