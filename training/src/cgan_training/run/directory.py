"""The folder that a run writes: config, metrics, sample sheets, checkpoint, model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cgan_runtime.errors import OutputError
from cgan_runtime.files import atomic_write
from cgan_training.pictures.sample_sheet import animation


class RunDirectory:
    """A run's folder.

    Args:
        path: made if it is not there; must hold no other run, unless resumed.
        keeps_models: make room for the models of single epochs.
        metrics: of the epochs that a resumed run has behind it; None for a new run.

    Raises:
        OutputError: it cannot be written, or holds a run.
    """

    def __init__(
        self,
        path: Path,
        *,
        keeps_models: bool = False,
        metrics: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        self.path = path
        self.metrics = list(metrics or [])
        if metrics is None and (path / "config.json").exists():
            raise OutputError(
                f"{path} already holds a run; go on with it by --resume {path}, "
                "or choose another --run-dir"
            )
        try:
            (path / "samples").mkdir(parents=True, exist_ok=True)
            if keeps_models:
                (path / "models").mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write {path}: {error.strerror}; choose another --run-dir"
            ) from error
        self._write_metrics()

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json: the resolved recipe, the data set, the machine."""
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        # A path may be no UTF-8; JSON escapes such bytes as Python spells them out.
        self._write(self.path / "config.json", text.encode("utf-8", "backslashreplace"))

    def add_metrics(self, metrics: dict[str, Any]) -> None:
        """Add one epoch's figures to metrics.jsonl."""
        self.metrics.append(metrics)
        self._write_metrics()

    def _write_metrics(self) -> None:
        # Whole, though it grows by a line: a full disk would leave half of one.
        lines = "".join(f"{json.dumps(each)}\n" for each in self.metrics)
        self._write(self.path / "metrics.jsonl", lines.encode())

    def write_sheet(self, png: bytes, epoch: int) -> None:
        """Write the sample sheet of an epoch."""
        self._write(self.path / "samples" / f"epoch-{epoch:04d}.png", png)

    def write_grid(self, png: bytes) -> None:
        """Write grid.png, the sheet of the finished generator."""
        self._write(self.path / "grid.png", png)

    def write_animation(self) -> None:
        """Write samples.webp, the sheets of all epochs one after the other."""
        sheets = sorted((self.path / "samples").glob("epoch-*.png"))
        self._write(self.path / "samples.webp", animation(sheets))

    def write_curves(self, png: bytes) -> None:
        """Write curves.png, the course of the finished run."""
        self._write(self.path / "curves.png", png)

    @property
    def model_path(self) -> Path:
        """Where model.pt belongs."""
        return self.path / "model.pt"

    def kept_model_path(self, epoch: int) -> Path:
        """Where the model of an epoch belongs that is kept beside the last one."""
        return self.path / "models" / f"epoch-{epoch:04d}.pt"

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        with atomic_write(path) as file:
            file.write(content)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a run's metrics.jsonl: one table an epoch."""
    with (path / "metrics.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
