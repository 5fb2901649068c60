"""Write the files of a run: checkpoints, metrics, sample sheets, curves and models."""

import copy
import os
import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cgan_training.engine import EpochMetrics, Trainer
from cgan_training.errors import CollapsedError
from cgan_training.model_file import Model, save_model
from cgan_training.pictures.curves import draw_curves
from cgan_training.pictures.sample_sheet import draw_sample_sheet
from cgan_training.run.checkpoint import save_checkpoint
from cgan_training.run.config import build_config, package_versions
from cgan_training.run.directory import RunDirectory
from cgan_training.run.options import RunOptions
from cgan_training.run.tensorboard import TensorBoardWriter

MIN_SHEET_DEVIATION = 0.5  # of the pixel values of a sheet's images; below it they are all the same


class RunArtifacts:
    """Writes the files of a run. All processes call every method; only rank 0 writes.

    An error on rank 0 is raised in every process.

    Args:
        trainer: the run's trainer.
        run_dir: the run's directory.
        identity: "recipe" and "dataset_sha256", for checkpoints.
        options: the run's options.
        metrics: metrics of the completed epochs of a resumed run; None for a new run.
        started_from: the run that initialized the networks, as check_provenance() returns it.

    Raises:
        OutputError: the directory cannot be written, or contains another run.
        MissingExtraError: TensorBoard is requested but not installed.
    """

    _directory: RunDirectory  # exists on rank 0 only
    _tensorboard: TensorBoardWriter | None = None

    def __init__(
        self,
        trainer: Trainer,
        run_dir: Path,
        identity: dict[str, Any],
        options: RunOptions,
        metrics: list[dict[str, Any]] | None,
        started_from: dict[str, Any] | None,
    ) -> None:
        self._trainer, self._identity, self._options = trainer, identity, options
        self._origin = {} if started_from is None else {"started_from": started_from}
        self._processes, self._saved_at = trainer.processes, time.perf_counter()
        self._processes.on_rank_zero(lambda: self._open(run_dir, metrics))

    def _open(self, run_dir: Path, metrics: list[dict[str, Any]] | None) -> None:
        options = self._options
        keep_models = bool(options.keep_every)
        self._directory = RunDirectory(run_dir, keep_models=keep_models, metrics=metrics)
        if metrics is None:
            self._directory.write_config(build_config(self._trainer, options) | self._origin)
        if options.tensorboard:
            self._tensorboard = TensorBoardWriter(run_dir / "tensorboard", self._trainer.epoch)

    def is_checkpoint_due(self) -> bool:
        """Return whether the last checkpoint is older than options.checkpoint_seconds."""
        return time.perf_counter() - self._saved_at >= self._options.checkpoint_seconds

    def save_checkpoint(self) -> None:
        """Write a checkpoint."""
        state = self._trainer.state_dict()
        content = self._identity | self._origin
        self._processes.on_rank_zero(
            lambda: save_checkpoint(
                {**content, "metrics": self._directory.metrics, "trainer": state},
                self._directory.path,
            )
        )
        self._saved_at = time.perf_counter()

    def record(self, epoch: EpochMetrics) -> None:
        """Write the metrics and the sample sheet of an epoch, and its model if it is to be kept.

        Raises:
            OutputError: a file cannot be written.
            CollapsedError: the epoch is complete, and all images of the sheet are the same.
        """
        self._processes.on_rank_zero(lambda: self._record(epoch))

    def _record(self, epoch: EpochMetrics) -> None:
        trainer, options = self._trainer, self._options
        metrics = asdict(epoch)
        if options.evaluator is not None and self._is_due(epoch, options.eval_every):
            metrics |= options.evaluator(trainer.finished_generator())
        self._directory.add_metrics(metrics)
        images = trainer.sample_images()
        number = f"{epoch.epoch:04d}"
        self._directory.write(f"samples/epoch-{number}.png", self._draw_sheet(images))
        # Within its first epoch a generator often returns blank images, so the check comes later.
        deviation = images.float().std(dim=0).mean()
        if trainer.epoch_is_complete and deviation < MIN_SHEET_DEVIATION:
            raise CollapsedError(
                f"after epoch {epoch.epoch} the generator returns the same image for every noise "
                f"and label (see {self._directory.path}/samples); lower the recipe's "
                "learning_rate, or change its seed"
            )
        if self._tensorboard is not None:
            self._tensorboard.add(metrics, images)
        if self._is_due(epoch, options.keep_every):
            path = self._directory.path / "models" / f"epoch-{number}.pt"
            save_model(self._build_model(), path)

    def _is_due(self, epoch: EpochMetrics, interval: int) -> bool:
        return bool(interval) and self._trainer.epoch_is_complete and epoch.epoch % interval == 0

    def finish(self) -> Path:
        """Write the grid, the animation, the curves and the model; return the model's path."""
        return self._processes.on_rank_zero(self._finish)

    def _finish(self) -> Path:
        directory = self._directory
        if self._tensorboard is not None:
            self._tensorboard.close()
        directory.write("grid.png", self._draw_sheet(self._trainer.sample_images()))
        directory.write_animation()
        directory.write("curves.png", draw_curves(directory.metrics, self._title()))
        path = directory.path / "model.pt"
        save_model(self._build_model(), path)
        return path

    def _draw_sheet(self, images: torch.Tensor) -> bytes:
        return draw_sample_sheet(images, self._trainer.dataset.class_names, self._title())

    def _title(self) -> str:
        trainer = self._trainer
        count = f"epoch {trainer.epoch}" if trainer.epoch_is_complete else f"step {trainer.step:,}"
        return f"recipe {trainer.recipe.name}, {trainer.dataset.name}, {count}"

    def _build_model(self) -> Model:
        """Return the finished generator on the CPU, with facts about its training."""
        trainer = self._trainer
        training = {
            "epochs": trainer.epoch,
            "steps": trainer.step,
            "seconds": round(trainer.seconds, 1),
            "device": trainer.device.type,
            "machine": _describe_machine(trainer.device),
            "threads": torch.get_num_threads(),
            "versions": package_versions(),
            **self._origin,
        }
        return Model(
            generator=copy.deepcopy(trainer.finished_generator()).cpu(),
            class_names=trainer.dataset.class_names,
            dataset=trainer.dataset.name,
            recipe=trainer.recipe.to_dict(),
            training=training,
        )


def _describe_machine(device: torch.device) -> str:
    """Return the name of the GPU, or of the CPU such as "x86_64 with AVX512, 2 CPUs"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} with {capability}, {os.cpu_count()} CPUs"
