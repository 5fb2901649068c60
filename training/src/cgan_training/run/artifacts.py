"""The files of a run: config, metrics, sample sheets, curves, checkpoints and models."""

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cgan_runtime.errors import OutputError
from cgan_runtime.files import atomic_write
from cgan_training.engine import EpochMetrics, Trainer
from cgan_training.errors import CheckpointError, CollapsedError, one_line
from cgan_training.input_files import read_bounded
from cgan_training.model_file import Model, save_model
from cgan_training.pictures.curves import draw_curves
from cgan_training.pictures.sample_sheet import draw_animation, draw_sample_sheet
from cgan_training.run.checkpoint import save_checkpoint
from cgan_training.run.config import RunOptions, config_json
from cgan_training.run.history import History
from cgan_training.run.tensorboard import add_epoch, open_tensorboard

# Mean standard deviation of a pixel among the images of a sheet; below it, all images are the same.
MIN_SHEET_DEVIATION = 0.5
# Why a generator collapsed. If the discriminator wins, the generator's loss is near 10
# (docs/tutorial/gallery.md), and the mean probabilities of "real" differ by almost 1.
DIVERGED_LOSS, DISCRIMINATOR_WINS = 100.0, 0.9
MAX_METRICS_BYTES = 2**26
_logger = logging.getLogger(__name__)


class RunArtifacts:
    """Writes the files of a run, each of them atomically.

    All processes call is_checkpoint_due() and save_checkpoint(); only rank 0 calls the others. The
    run needs its metrics, checkpoints and models. An error in anything else is logged, and the run
    continues without it.

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
        self._evaluated_step = 0  # after which the quality was measured last
        self._tensorboard: Any = None  # the SummaryWriter
        self._saved_at = time.perf_counter()

    def open(self) -> None:
        """Create the first files of the run in its directory, which exists.

        Raises:
            OutputError: the directory cannot be written.
            DatasetError: the options ask for an evaluation that the dataset does not allow.
        """
        path, options = self._run_dir, self._options
        if options.create_evaluator is not None and options.eval_every:
            self._evaluate = options.create_evaluator()
        try:
            (path / "samples").mkdir(exist_ok=True)
            if options.keep_every:
                (path / "models").mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write {path}: {error.strerror}; choose another --run-dir"
            ) from error
        self._write_metrics()
        if self._is_new:
            config = config_json(self._trainer, options, self.history.origin())
            self._write("config.json", config)
        if options.tensorboard:
            with _optional("the TensorBoard files"):
                self._tensorboard = open_tensorboard(path / "tensorboard", self._trainer.epoch)

    def is_checkpoint_due(self) -> bool:
        """Return whether the last checkpoint is older than options.checkpoint_seconds."""
        return time.perf_counter() - self._saved_at >= self._options.checkpoint_seconds

    def save_checkpoint(self) -> None:
        """Write a checkpoint. All processes call this together."""
        state, history = self._trainer.state_dict(), self.history.to_dict(self._trainer)
        # One text instead of many values: an archive may hold as many epochs as a run has.
        content = {**self._identity, **history, "metrics": self._json_lines(), "trainer": state}
        self._trainer.processes.on_rank_zero(lambda: save_checkpoint(content, self._run_dir))
        self._saved_at = time.perf_counter()

    def record(self, epoch: EpochMetrics) -> None:
        """Write the metrics and the sample sheet of an epoch, and its model if it is to be kept."""
        trainer, options = self._trainer, self._options
        metrics, images = asdict(epoch), None
        if self._is_due(options.eval_every):
            self._add_quality(metrics)
        self._metrics.append(metrics)
        self._write_metrics()
        sheet = f"samples/epoch-{epoch.epoch:04d}.png"
        with _optional(sheet):
            images = trainer.sample_images()
            self._write(sheet, self._draw_sheet(images))
        if images is not None:
            self._require_variety(images, epoch)
        if self._tensorboard is not None and images is not None:
            with _optional(f"epoch {epoch.epoch} in the TensorBoard files"):
                add_epoch(self._tensorboard, metrics, images)
        if self._is_due(options.keep_every):
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
        samples = self._run_dir / "samples"
        # By length first: the number of an epoch may have more than four digits.
        sheets = sorted(samples.glob("epoch-*.png"), key=lambda each: (len(each.name), each.name))
        pictures: dict[str, Callable[[], bytes]] = {
            "grid.png": lambda: self._draw_sheet(self._trainer.sample_images()),
            "samples.webp": lambda: draw_animation(sheets),
            "curves.png": lambda: draw_curves(self._metrics, self._title()),
        }
        for name, draw in pictures.items():
            with _optional(name):
                self._write(name, draw())
        if self._tensorboard is not None:
            with _optional("the end of the TensorBoard files"):
                self._tensorboard.close()
        return path

    def _require_variety(self, images: torch.Tensor, epoch: EpochMetrics) -> None:
        """Raise CollapsedError if the images of a sheet are all the same."""
        # Within its first epoch a generator often returns blank images: check only complete epochs.
        deviation = images.float().std(dim=0).mean()
        if self._trainer.is_between_epochs and deviation < MIN_SHEET_DEVIATION:
            raise CollapsedError(
                f"after epoch {epoch.epoch} the generator returns the same image for every noise "
                f"and label (see {self._run_dir}/samples){_collapse_cause(epoch)}"
            )

    def _add_quality(self, metrics: dict[str, Any]) -> None:
        """Measure the generator if the options ask for it, and add the figures to its metrics."""
        if self._evaluate is None:
            return
        self._evaluated_step = self._trainer.step
        with _optional(f"the quality of epoch {metrics['epoch']}"):
            figures = self._evaluate(self._trainer.finished_generator())
            metrics |= {key: each for key, each in figures.items() if math.isfinite(each)}

    def _is_due(self, interval: int) -> bool:
        trainer = self._trainer
        return bool(interval) and trainer.is_between_epochs and trainer.epoch % interval == 0

    def _write(self, name: str, content: bytes) -> None:
        with atomic_write(self._run_dir / name) as file:
            file.write(content)

    def _write_metrics(self) -> None:
        # The whole file is rewritten: appending to it on a full disk would leave half a line.
        self._write("metrics.jsonl", self._json_lines().encode())

    def _json_lines(self) -> str:
        return "".join(f"{json.dumps(each, allow_nan=False)}\n" for each in self._metrics)

    def _draw_sheet(self, images: torch.Tensor) -> bytes:
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


def _collapse_cause(epoch: EpochMetrics) -> str:
    """Return what an epoch's metrics say about a collapse, and what to do (tutorial/gallery.md)."""
    loss = max(abs(epoch.loss_generator), abs(epoch.loss_discriminator))
    if loss > DIVERGED_LOSS:
        return f", and the losses diverge ({loss:,.0f}); divide the recipe's learning_rate by ten"
    if epoch.mean_d_real - epoch.mean_d_fake > DISCRIMINATOR_WINS:
        return (
            ", and the discriminator is sure about every image (its mean output is "
            f"{epoch.mean_d_real:.2f} for real and {epoch.mean_d_fake:.2f} for generated ones); "
            "weaken the discriminator (fewer units, a lower learning_rate), or help the generator "
            "(batch_norm, more units)"
        )
    return "; lower the recipe's learning_rate, or change its seed"


@contextmanager
def _optional(name: str) -> Iterator[None]:
    """Log an error within the block, and continue without what the name names."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - no error of a picture may end the training
        _logger.warning("%s cannot be made (%s); the run continues without", name, one_line(error))


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
