"""The files of a run: config, metrics, sample sheets, curves, checkpoints and models."""

import copy
import json
import os
import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cgan_runtime.errors import OutputError
from cgan_runtime.files import atomic_write
from cgan_training.engine import EpochMetrics, Trainer
from cgan_training.errors import CollapsedError
from cgan_training.model_file import Model, save_model
from cgan_training.pictures.curves import draw_curves
from cgan_training.pictures.sample_sheet import draw_animation, draw_sample_sheet
from cgan_training.run.checkpoint import save_checkpoint
from cgan_training.run.config import RunOptions, config_json, package_versions
from cgan_training.run.tensorboard import add_epoch, open_tensorboard

# Mean standard deviation of a pixel among the images of a sheet; below it, all images are the same.
MIN_SHEET_DEVIATION = 0.5


class RunArtifacts:
    """Writes the files of a run, each of them atomically.

    All processes call is_checkpoint_due() and save_checkpoint(); only rank 0 calls the others.

    Args:
        identity: the part of a checkpoint that resume() compares.
        metrics: metrics of the completed epochs of a resumed run; None for a new run.
        started_from: the record of the run that this one started from, if there is one.
    """

    def __init__(
        self,
        trainer: Trainer,
        run_dir: Path,
        identity: dict[str, Any],
        options: RunOptions,
        metrics: list[dict[str, Any]] | None,
        started_from: dict[str, Any] | None,
    ) -> None:
        self._trainer, self._run_dir, self._options = trainer, run_dir, options
        self._identity = identity
        self._origin = {} if started_from is None else {"started_from": started_from}
        self._is_new, self._metrics = metrics is None, list(metrics or [])
        self._tensorboard: Any = None  # the SummaryWriter
        self._saved_at = time.perf_counter()

    def open(self) -> None:
        """Create the directory and its first files; raise OutputError if it holds another run."""
        path, options = self._run_dir, self._options
        if self._is_new and (path / "config.json").exists():
            raise OutputError(
                f"{path} already contains a run; continue it with --resume {path}, "
                "or choose another --run-dir"
            )
        try:
            (path / "samples").mkdir(parents=True, exist_ok=True)
            if options.keep_every:
                (path / "models").mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write {path}: {error.strerror}; choose another --run-dir"
            ) from error
        self._write_metrics()
        if self._is_new:
            self._write("config.json", config_json(self._trainer, options, self._origin))
        if options.tensorboard:
            self._tensorboard = open_tensorboard(path / "tensorboard", self._trainer.epoch)

    def is_checkpoint_due(self) -> bool:
        """Return whether the last checkpoint is older than options.checkpoint_seconds."""
        return time.perf_counter() - self._saved_at >= self._options.checkpoint_seconds

    def save_checkpoint(self) -> None:
        """Write a checkpoint. All processes call this together."""
        state = self._trainer.state_dict()
        content = {**self._identity, **self._origin, "metrics": self._metrics, "trainer": state}
        self._trainer.processes.on_rank_zero(lambda: save_checkpoint(content, self._run_dir))
        self._saved_at = time.perf_counter()

    def record(self, epoch: EpochMetrics) -> None:
        """Write the metrics and the sample sheet of an epoch, and its model if it is to be kept."""
        trainer, options = self._trainer, self._options
        metrics = asdict(epoch)
        if options.evaluator is not None and self._is_due(options.eval_every):
            metrics |= options.evaluator(trainer.finished_generator())
        self._metrics.append(metrics)
        self._write_metrics()
        images = trainer.sample_images()
        self._write(f"samples/epoch-{epoch.epoch:04d}.png", self._draw_sheet(images))
        # Within its first epoch a generator often returns blank images: check only complete epochs.
        deviation = images.float().std(dim=0).mean()
        if trainer.epoch_is_complete and deviation < MIN_SHEET_DEVIATION:
            raise CollapsedError(
                f"after epoch {epoch.epoch} the generator returns the same image for every noise "
                f"and label (see {self._run_dir}/samples); lower the recipe's learning_rate, or "
                "change its seed"
            )
        if self._tensorboard is not None:
            add_epoch(self._tensorboard, metrics, images)
        if self._is_due(options.keep_every):
            save_model(self._build_model(), self._run_dir / f"models/epoch-{epoch.epoch:04d}.pt")

    def finish(self) -> Path:
        """Write the grid, the animation, the curves and the model; return the model's path."""
        if self._tensorboard is not None:
            self._tensorboard.close()
        self._write("grid.png", self._draw_sheet(self._trainer.sample_images()))
        sheets = sorted((self._run_dir / "samples").glob("epoch-*.png"))
        self._write("samples.webp", draw_animation(sheets))
        self._write("curves.png", draw_curves(self._metrics, self._title()))
        path = self._run_dir / "model.pt"
        save_model(self._build_model(), path)
        return path

    def _is_due(self, interval: int) -> bool:
        trainer = self._trainer
        return bool(interval) and trainer.epoch_is_complete and trainer.epoch % interval == 0

    def _write(self, name: str, content: bytes) -> None:
        with atomic_write(self._run_dir / name) as file:
            file.write(content)

    def _write_metrics(self) -> None:
        # The whole file is rewritten: appending to it on a full disk would leave half a line.
        lines = "".join(f"{json.dumps(each)}\n" for each in self._metrics)
        self._write("metrics.jsonl", lines.encode())

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


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """Read a run's metrics.jsonl: one table per epoch."""
    with (run_dir / "metrics.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _describe_machine(device: torch.device) -> str:
    """Return the name of the GPU, or of the CPU such as "x86_64 with AVX512, 2 CPUs"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} with {capability}, {os.cpu_count()} CPUs"
