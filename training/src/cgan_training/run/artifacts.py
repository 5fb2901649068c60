"""The files of a run: config, metrics, sample sheets, curves, checkpoints and models."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from cgan_runtime.files import atomic_write, make_folder
from cgan_training.engine import EpochMetrics, Trainer
from cgan_training.errors import one_line
from cgan_training.model_file import Model, save_model
from cgan_training.pictures.curves import draw_curves
from cgan_training.pictures.sample_sheet import draw_animation, draw_sample_sheet
from cgan_training.run.checkpoint import save_checkpoint
from cgan_training.run.collapse import require_variety
from cgan_training.run.config import RunOptions, config_json
from cgan_training.run.history import History
from cgan_training.run.metrics import to_json_lines
from cgan_training.run.tensorboard import add_epoch, open_tensorboard

_logger = logging.getLogger(__name__)


class RunArtifacts:
    """Writes the files of a run, each of them atomically.

    All processes call is_checkpoint_due() and save_checkpoint(); only rank 0 calls the other
    methods. If config.json, metrics, a checkpoint or a model cannot be written, the run ends; other
    failures are logged.

    Args:
        identity: the part of a checkpoint that resume() compares.
        metrics: metrics of the completed epochs of a resumed run; None for a new run.
        history: the origin of the run, for the config, the checkpoints and the models.
    """

    def __init__(
        self,
        trainer: Trainer,
        run_dir: Path,
        identity: dict[str, Any],
        options: RunOptions,
        metrics: list[dict[str, Any]] | None,
        history: History,
    ) -> None:
        self._trainer, self._run_dir, self._options = trainer, run_dir, options
        self._identity, self.history = identity, history
        self._is_new, self._metrics = metrics is None, list(metrics or [])
        self._evaluate: Callable[[Any], dict[str, float]] | None = None
        self._evaluated_step = 0  # step of the last evaluation
        self._tensorboard: Any = None  # the SummaryWriter
        self._saved_at = time.perf_counter()  # time of the last checkpoint

    def open(self) -> None:
        """Create the first files of the run in its directory, which must exist.

        Raises:
            OutputError: the directory cannot be written.
            DatasetError: the options ask for an evaluation that the dataset does not allow.
        """
        path, options = self._run_dir, self._options
        if options.create_evaluator is not None and options.eval_every:
            self._evaluate = options.create_evaluator()
        make_folder(path / "samples", "choose another --run-dir")
        if options.keep_every:
            make_folder(path / "models", "choose another --run-dir")
        self._write_metrics()
        if self._is_new:
            config = config_json(self._trainer, options, self.history.origin())
            self._write("config.json", config)
        if options.tensorboard:
            with _optional("opening the TensorBoard files"):
                self._tensorboard = open_tensorboard(path / "tensorboard", self._trainer.epoch)

    def is_checkpoint_due(self) -> bool:
        """Return whether the last checkpoint is older than options.checkpoint_seconds."""
        return time.perf_counter() - self._saved_at >= self._options.checkpoint_seconds

    def save_checkpoint(self) -> None:
        """Write a checkpoint. All processes call this together."""
        state, history = self._trainer.state_dict(), self.history.to_dict(self._trainer)
        # The metrics are one string, because archive.py limits the number of values in a file, and
        # a run can have many epochs.
        metrics = to_json_lines(self._metrics)
        content = {**self._identity, **history, "metrics": metrics, "trainer": state}
        self._trainer.processes.on_rank_zero(lambda: save_checkpoint(content, self._run_dir))
        self._saved_at = time.perf_counter()

    def record(self, epoch: EpochMetrics) -> None:
        """Write an epoch's metrics and sample sheet, and every options.keep_every epochs its model.

        Raises:
            CollapsedError: after a complete epoch, all images of the sheet are the same.
        """
        metrics = asdict(epoch)
        if self._is_due(self._options.eval_every):
            self._add_quality(metrics)
        self._metrics.append(metrics)
        self._write_metrics()
        images = self._write_sheet(f"samples/epoch-{epoch.epoch:04d}.png")
        # Within the first epoch a generator often returns blank images.
        if images is not None and self._trainer.is_between_epochs:
            require_variety(images, epoch, self._run_dir)
        if images is not None and self._tensorboard is not None:
            with _optional(f"adding epoch {epoch.epoch} to the TensorBoard files"):
                add_epoch(self._tensorboard, metrics, images)
        if self._is_due(self._options.keep_every):
            save_model(self._build_model(), self._run_dir / f"models/epoch-{epoch.epoch:04d}.pt")

    def finish(self) -> Path:
        """Write the model and the pictures, and measure the quality if record() did not.

        Returns:
            The path of the model.
        """
        path = self._run_dir / "model.pt"
        save_model(self._build_model(), path)
        if self._evaluated_step != self._trainer.step:
            self._add_quality(self._metrics[-1])
            self._write_metrics()
        sheets = (self._run_dir / "samples").glob("epoch-*.png")
        # Sorted by length first, because the number of an epoch may have more than four digits.
        in_order = sorted(sheets, key=lambda sheet: (len(sheet.name), sheet.name))
        pictures: dict[str, Callable[[], bytes]] = {
            "grid.png": lambda: self._draw_sheet(self._trainer.sample_images()),
            "samples.webp": lambda: draw_animation(in_order),
            "curves.png": lambda: draw_curves(self._metrics, self._title()),
        }
        for name, draw in pictures.items():
            with _optional(f"writing {name}"):
                self._write(name, draw())
        if self._tensorboard is not None:
            with _optional("closing the TensorBoard files"):
                self._tensorboard.close()
        return path

    def _write_sheet(self, name: str) -> Tensor | None:
        """Write a sample sheet; return its images, or None if they cannot be generated."""
        images = None
        with _optional(f"writing {name}"):
            images = self._trainer.sample_images()
            self._write(name, self._draw_sheet(images))
        return images

    def _add_quality(self, metrics: dict[str, Any]) -> None:
        """Measure the generator's quality if the options ask for it, and add it to the metrics."""
        if self._evaluate is None:
            return
        self._evaluated_step = self._trainer.step
        with _optional(f"measuring the quality of epoch {metrics['epoch']}"):
            quality = self._evaluate(self._trainer.finished_generator())
            metrics |= {key: value for key, value in quality.items() if math.isfinite(value)}

    def _is_due(self, interval: int) -> bool:
        """Return whether the epoch is complete and a multiple of an interval other than 0."""
        trainer = self._trainer
        return bool(interval) and trainer.is_between_epochs and trainer.epoch % interval == 0

    def _write(self, name: str, content: bytes) -> None:
        with atomic_write(self._run_dir / name) as file:
            file.write(content)

    def _write_metrics(self) -> None:
        # The whole file is rewritten: appending to it on a full disk would leave half a line.
        self._write("metrics.jsonl", to_json_lines(self._metrics).encode())

    def _draw_sheet(self, images: Tensor) -> bytes:
        return draw_sample_sheet(images, self._trainer.dataset.class_names, self._title())

    def _title(self) -> str:
        trainer = self._trainer
        count = f"epoch {trainer.epoch}" if trainer.is_between_epochs else f"step {trainer.step:,}"
        return f"recipe {trainer.recipe.name}, {trainer.dataset.name}, {count}"

    def _build_model(self) -> Model:
        """Return the finished generator on the CPU, with facts about its training."""
        trainer = self._trainer
        return Model(
            generator=copy.deepcopy(trainer.finished_generator()).cpu(),
            class_names=trainer.dataset.class_names,
            dataset=trainer.dataset.name,
            recipe=trainer.recipe.to_dict(),
            training=self.history.training_facts(trainer, self._options),
        )


@contextmanager
def _optional(action: str) -> Iterator[None]:
    """Log an exception of the block instead of raising it. `action` says what has failed."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - no error of a picture may end the training
        _logger.warning("%s failed (%s); the run continues", action, one_line(error))
