"""A whole run: train epoch by epoch, and leave its folder behind."""

import hashlib
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import cgan_training
from cgan_training.checkpoint import load_checkpoint, save_checkpoint
from cgan_training.curves import curves
from cgan_training.data import Dataset
from cgan_training.errors import CheckpointError, CollapsedError, StoppedError
from cgan_training.loop import Epoch, Trainer
from cgan_training.model_file import Model, save_model
from cgan_training.networks import Generator
from cgan_training.pictures import sheet
from cgan_training.progress import Progress
from cgan_training.recipe import Recipe
from cgan_training.run_dir import RunDir
from cgan_training.signals import StopSignals

COLLAPSED_GREYS = 0.5  # a sheet whose images differ by less, in the mean, is one picture
CHECKPOINT_SECONDS = 300.0


@dataclass(frozen=True)
class Options:
    """What a run does beside learning; none of it changes what is learnt."""

    seconds_limit: float | None = None  # end after this much training, within an epoch if need be
    keep_every: int = 0  # also keep the generator of every so many epochs in models/; 0: none
    checkpoint_seconds: float = CHECKPOINT_SECONDS  # between checkpoints within an epoch
    resume: bool = False  # go on with the run that the folder holds
    found_by: tuple[str, str] = ("", "")  # --dataset and --data-dir, for config.json


def train(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    *,
    device: torch.device,
    options: Options = Options(),
    say: Callable[[str], None] = print,
) -> Path:
    """Train a recipe on a data set into a run directory.

    A checkpoint is written after each epoch, every options.checkpoint_seconds, and when SIGINT or
    SIGTERM arrives. A run that was killed and resumed ends with the same model, bit for bit, as
    one that was not, on the CPU with the same number of threads.

    Args:
        recipe: how to train.
        dataset: what to learn.
        run_dir: where config.json, metrics.jsonl, samples/, samples.webp, checkpoint.pt, grid.png,
            curves.png and model.pt go; must hold no other run, or with options.resume, this one.
        device: torch's name of where to train.
        options: how long, and what to keep.
        say: told what happens, a line at a time.

    Returns:
        The path of model.pt.

    Raises:
        OutputError: the run directory cannot be written, or holds a run.
        CheckpointError: there is nothing to resume, or it is another recipe's or data set's.
        DivergedError: the losses are no longer numbers.
        CollapsedError: the generator draws one picture whatever it is asked for.
        StoppedError: SIGINT or SIGTERM arrived; everything is saved.
    """
    trainer = Trainer(recipe, dataset, device)
    identity = {"recipe": recipe.to_dict(), "dataset_sha256": _sha256(dataset)}
    metrics = _resume(trainer, run_dir, identity, say) if options.resume else None
    folder = RunDir(run_dir, keeps_models=bool(options.keep_every), metrics=metrics)
    if not options.resume:
        folder.write_config(_config(trainer, options))
    scribe = _Scribe(trainer, folder, identity, options)
    until = trainer.seconds + (options.seconds_limit or math.inf)
    with (
        StopSignals() as stop,
        Progress(recipe.epochs, trainer.steps_per_epoch, trainer.batch_size, say) as progress,
    ):

        def on_step(done: int, sums: Tensor) -> bool:
            progress.step(done, sums)
            scribe.save_if_due()
            return stop.received is None and trainer.seconds < until

        while trainer.epoch < recipe.epochs and trainer.seconds < until:
            progress.start_epoch(trainer.epoch + 1, trainer.step)
            epoch = trainer.train_epoch(on_step)
            if trainer.epoch_is_whole:
                progress.end_epoch(epoch)
                scribe.record(epoch)
            scribe.save()
            if stop.received is not None:
                raise StoppedError(
                    f"stopped by {stop.received.name} in epoch {epoch.epoch}; everything is "
                    f"saved, go on with cgan-train --resume {run_dir}",
                    stop.received,
                )
        if not trainer.epoch_is_whole:  # time was up: say how far it came
            progress.end_epoch(epoch)
            scribe.record(epoch)
    return scribe.finish()


class _Scribe:
    """Writes what a run leaves behind."""

    def __init__(
        self, trainer: Trainer, folder: RunDir, identity: dict[str, Any], options: Options
    ) -> None:
        self._trainer, self._folder = trainer, folder
        self._identity, self._options = identity, options
        self._saved = time.perf_counter()

    def save(self) -> None:
        """Write a checkpoint."""
        state = {"metrics": self._folder.metrics, "trainer": self._trainer.state()}
        save_checkpoint({**self._identity, **state}, self._folder.path)
        self._saved = time.perf_counter()

    def save_if_due(self) -> None:
        """Write a checkpoint if the last one is old enough."""
        if time.perf_counter() - self._saved >= self._options.checkpoint_seconds:
            self.save()

    def record(self, epoch: Epoch) -> None:
        """Write an epoch's metrics and sheet, and its model if that is to be kept."""
        self._folder.add_metrics(asdict(epoch))
        _write_sheet(self._trainer, self._folder)
        keep_every = self._options.keep_every
        if keep_every and self._trainer.epoch_is_whole and epoch.epoch % keep_every == 0:
            save_model(_model(self._trainer), self._folder.kept_model_path(epoch.epoch))

    def finish(self) -> Path:
        """Write grid, curves and model, and return the model's path."""
        trainer, folder = self._trainer, self._folder
        folder.close()
        folder.write_grid(_sheet(trainer))
        folder.write_animation()
        folder.write_curves(curves(folder.metrics, _title(trainer)))
        save_model(_model(trainer), folder.model_path)
        return folder.model_path


def read_config(run_dir: Path) -> dict[str, Any]:
    """Return a run's config.json.

    Raises:
        CheckpointError: there is no run in the folder.
    """
    path = run_dir / "config.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise CheckpointError(f"{run_dir} holds no run (no config.json); check the path") from error
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read or is damaged; start a new run") from error


def _resume(
    trainer: Trainer, run_dir: Path, identity: dict[str, Any], say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Put the trainer where the run's checkpoint stands; return the metrics up to there."""
    checkpoint, problem = load_checkpoint(run_dir)
    if problem is not None:
        say(f"note: {problem} Going on from the checkpoint before it.")
    theirs, ours = checkpoint.get("recipe"), identity["recipe"]
    if theirs != ours:
        key = next(
            key for key in ours if not isinstance(theirs, dict) or theirs.get(key) != ours[key]
        )
        raise CheckpointError(
            f"the run in {run_dir} has another recipe ({key} differs from {ours[key]!r}); resume "
            "it without --recipe, --epochs and --seed, or start a new run"
        )
    if checkpoint.get("dataset_sha256") != identity["dataset_sha256"]:
        raise CheckpointError(
            f"the run in {run_dir} learnt other data than {trainer.dataset.source}; "
            "give its --dataset and --data-dir"
        )
    try:
        trainer.load_state(checkpoint["trainer"])
        metrics = checkpoint["metrics"]
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"the checkpoint in {run_dir} does not fit its recipe; start a new run"
        ) from error
    say(f"resumed at epoch {trainer.epoch + 1}, step {trainer.step:,}")
    return list(metrics)


def _sha256(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for tensor in (dataset.images, dataset.labels):
        digest.update(f"{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _write_sheet(trainer: Trainer, folder: RunDir) -> None:
    """Write the epoch's sheet, and look at it.

    Raises:
        CollapsedError: its images are all the same.
    """
    images = trainer.draw_sheet()
    number = trainer.epoch + (not trainer.epoch_is_whole)
    folder.write_sheet(sheet(images, trainer.dataset.class_names, _title(trainer)), number)
    if images.float().std(dim=0).mean() < COLLAPSED_GREYS:
        raise CollapsedError(
            f"after epoch {number} the generator draws one picture whatever it is asked for "
            f"({folder.path}/samples); lower the recipe's learning_rate, or change its seed"
        )


def _sheet(trainer: Trainer) -> bytes:
    return sheet(trainer.draw_sheet(), trainer.dataset.class_names, _title(trainer))


def _title(trainer: Trainer) -> str:
    done = f"epoch {trainer.epoch}" if trainer.epoch_is_whole else f"step {trainer.step:,}"
    return f"recipe {trainer.recipe.name}, {trainer.dataset.name}, {done}"


def _model(trainer: Trainer) -> Model:
    """Copy the generator to the CPU, with what there is to say about it."""
    trained = trainer.best_generator
    generator = Generator(
        trained.noise_dim,
        trained.classes,
        trainer.recipe.generator_hidden,
        trained.height,
        trained.width,
    )
    generator.load_state_dict(trained.state_dict())
    return Model(
        generator=generator.eval().requires_grad_(False),
        class_names=trainer.dataset.class_names,
        dataset=trainer.dataset.name,
        recipe=trainer.recipe.to_dict(),
        training={
            "epochs": trainer.epoch,
            "steps": trainer.step,
            "seconds": round(trainer.seconds, 1),
            "device": str(trainer.device),
            "versions": _versions(),
        },
    )


def _config(trainer: Trainer, options: Options) -> dict[str, Any]:
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
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "keep_every": options.keep_every,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "cgan-training": cgan_training.__version__,
        "torch": str(torch.__version__),
        "torchvision": version("torchvision"),
    }
