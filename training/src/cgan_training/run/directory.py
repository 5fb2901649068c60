"""The directory of a run: config, metrics, sample sheets, checkpoints and models."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cgan_runtime.errors import OutputError
from cgan_runtime.files import atomic_write
from cgan_training.pictures.sample_sheet import draw_animation


class RunDirectory:
    """The directory of a run. Every file in it is written atomically.

    Args:
        path: created if it does not exist; must not contain another run.
        keep_models: also create the folder for the models of single epochs.
        metrics: metrics of the completed epochs of a resumed run; None for a new run.

    Raises:
        OutputError: the directory cannot be written, or a new run would overwrite another.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep_models: bool = False,
        metrics: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        self.path = path
        self.metrics = list(metrics or [])
        if metrics is None and (path / "config.json").exists():
            raise OutputError(
                f"{path} already contains a run; continue it with --resume {path}, "
                "or choose another --run-dir"
            )
        try:
            (path / "samples").mkdir(parents=True, exist_ok=True)
            if keep_models:
                (path / "models").mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write {path}: {error.strerror}; choose another --run-dir"
            ) from error
        self._write_metrics()

    def write(self, name: str, content: bytes) -> None:
        """Write a file of the run, such as grid.png."""
        with atomic_write(self.path / name) as file:
            file.write(content)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json."""
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        # A path that is not valid UTF-8 contains lone surrogates, which JSON can hold escaped.
        self.write("config.json", text.encode("utf-8", "backslashreplace"))

    def add_metrics(self, metrics: dict[str, Any]) -> None:
        """Add the metrics of an epoch to metrics.jsonl."""
        self.metrics.append(metrics)
        self._write_metrics()

    def _write_metrics(self) -> None:
        # The whole file is rewritten: appending to it on a full disk would leave half a line.
        lines = "".join(f"{json.dumps(each)}\n" for each in self.metrics)
        self.write("metrics.jsonl", lines.encode())

    def write_animation(self) -> None:
        """Write samples.webp, an animation of the sample sheets of all epochs."""
        sheets = sorted((self.path / "samples").glob("epoch-*.png"))
        self.write("samples.webp", draw_animation(sheets))


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """Read a run's metrics.jsonl: one table per epoch."""
    with (run_dir / "metrics.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
