"""What a run leaves behind."""

import os
import platform
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import cgan_training
from cgan_training.engine.trainer import Epoch, Trainer
from cgan_training.errors import CollapsedError
from cgan_training.model_file import Model, save_model
from cgan_training.pictures.curves import curves
from cgan_training.pictures.sample_sheet import sheet
from cgan_training.run.checkpoint import save_checkpoint
from cgan_training.run.directory import RunDirectory
from cgan_training.run.options import RunOptions
from cgan_training.run.tensorboard import TensorBoardWriter

if TYPE_CHECKING:
    pass

COLLAPSED_LEVELS = 0.5  # a sheet whose images differ by less, in the mean, is one picture


class RunArtifacts:
    """Writes what a run leaves behind: rank 0 does, and the other processes share its fate."""

    _folder: RunDirectory  # rank 0's alone, as is the next
    _board: TensorBoardWriter | None = None

    def __init__(
        self,
        trainer: Trainer,
        run_dir: Path,
        metrics: list[dict[str, Any]] | None,
        identity: dict[str, Any],
        options: RunOptions,
    ) -> None:
        self._trainer, self._identity, self._options = trainer, identity, options
        self._start = {"start": identity["start"]} if "start" in identity else {}
        self._world, self._saved = trainer.world, time.perf_counter()
        self._world.on_rank_zero(lambda: self._open(run_dir, metrics))

    def _open(self, run_dir: Path, metrics: list[dict[str, Any]] | None) -> None:
        keeps_models = bool(self._options.keep_every)
        self._folder = RunDirectory(run_dir, keeps_models=keeps_models, metrics=metrics)
        if metrics is None:
            self._folder.write_config(_config(self._trainer, self._options, self._start))
        if self._options.tensorboard:
            self._board = TensorBoardWriter(run_dir / "tensorboard", self._trainer.epoch)

    def is_due(self) -> bool:
        """Return whether the last checkpoint is old enough for another."""
        return time.perf_counter() - self._saved >= self._options.checkpoint_seconds

    def save(self) -> None:
        """Write a checkpoint."""
        state = self._trainer.state()
        self._world.on_rank_zero(
            lambda: save_checkpoint(
                {**self._identity, "metrics": self._folder.metrics, "trainer": state},
                self._folder.path,
            )
        )
        self._saved = time.perf_counter()

    def record(self, epoch: Epoch) -> None:
        """Write an epoch's metrics and sheet, and its model if that is to be kept."""
        self._world.on_rank_zero(lambda: self._record(epoch))

    def _record(self, epoch: Epoch) -> None:
        metrics = asdict(epoch) | self._measured(epoch)
        self._folder.add_metrics(metrics)
        images = _write_sheet(self._trainer, self._folder)
        if self._board is not None:
            self._board.add(metrics, images)
        keep_every = self._options.keep_every
        if keep_every and self._trainer.epoch_is_whole and epoch.epoch % keep_every == 0:
            model = _model(self._trainer, self._start)
            save_model(model, self._folder.kept_model_path(epoch.epoch))

    def _measured(self, epoch: Epoch) -> dict[str, float]:
        meter, every = self._options.meter, self._options.eval_every
        if meter is None or not every or epoch.epoch % every or not self._trainer.epoch_is_whole:
            return {}
        return meter(self._trainer.finished_generator())

    def finish(self) -> Path:
        """Write grid, curves and model, and return the model's path."""
        return self._world.from_rank_zero(self._finish)

    def _finish(self) -> Path:
        trainer, folder = self._trainer, self._folder
        if self._board is not None:
            self._board.close()
        folder.write_grid(_sheet(trainer, trainer.draw_sheet()))
        folder.write_animation()
        folder.write_curves(curves(folder.metrics, _title(trainer)))
        save_model(_model(trainer, self._start), folder.model_path)
        return folder.model_path


def _write_sheet(trainer: Trainer, folder: RunDirectory) -> torch.Tensor:
    """Write the epoch's sheet, look at it, and return its images.

    Raises:
        CollapsedError: the epoch is whole, and its images are all the same.
    """
    images = trainer.draw_sheet()
    number = trainer.epoch + (not trainer.epoch_is_whole)
    folder.write_sheet(_sheet(trainer, images), number)
    # The first steps of a run draw blank pictures: only a whole epoch tells.
    if trainer.epoch_is_whole and images.float().std(dim=0).mean() < COLLAPSED_LEVELS:
        raise CollapsedError(
            f"after epoch {number} the generator draws one picture whatever it is asked for "
            f"({folder.path}/samples); lower the recipe's learning_rate, or change its seed"
        )
    return images


def _sheet(trainer: Trainer, images: torch.Tensor) -> bytes:
    return sheet(images, trainer.dataset.class_names, _title(trainer))


def _title(trainer: Trainer) -> str:
    done = f"epoch {trainer.epoch}" if trainer.epoch_is_whole else f"step {trainer.step:,}"
    return f"recipe {trainer.recipe.name}, {trainer.dataset.name}, {done}"


def _model(trainer: Trainer, start: dict[str, Any]) -> Model:
    """Return the finished generator on the CPU, with what there is to say about it."""
    return Model(
        generator=trainer.finished_generator().cpu(),
        class_names=trainer.dataset.class_names,
        dataset=trainer.dataset.name,
        recipe=trainer.recipe.to_dict(),
        training={
            "epochs": trainer.epoch,
            "steps": trainer.step,
            "seconds": round(trainer.seconds, 1),
            "device": trainer.device.type,
            "machine": _machine(trainer.device),
            "threads": torch.get_num_threads(),
            "versions": _versions(),
            **start,
        },
    )


def _config(trainer: Trainer, options: RunOptions, start: dict[str, Any]) -> dict[str, Any]:
    dataset = trainer.dataset
    return {
        "recipe": trainer.recipe.to_dict(),
        "dataset": {
            "name": dataset.name,
            "dataset": options.found_by[0] or dataset.name,
            "data_dir": options.found_by[1],
            "images": len(dataset.labels),
            "shape": [1, dataset.height, dataset.width],
            "class_names": list(dataset.class_names),
        },
        "device": trainer.device.type,
        "processes": trainer.world.size,
        "threads": torch.get_num_threads(),
        "keep_every": options.keep_every,
        "eval_every": options.eval_every,
        "tensorboard": options.tensorboard,
        "versions": _versions(),
        **start,
    }


def _machine(device: torch.device) -> str:
    """Return what computed, such as "x86_64 with AVX512, 2 CPUs"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} with {capability}, {os.cpu_count()} CPUs"


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "cgan-training": cgan_training.__version__,
        "torch": str(torch.__version__),
        "torchvision": version("torchvision"),
    }
