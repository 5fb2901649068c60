"""A whole run: train epoch by epoch, and leave its folder behind."""

import hashlib
import json
import math
import signal
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgan_runtime.errors import StoppedError
from cgan_training.data import Dataset
from cgan_training.engine.trainer import Epoch, Trainer
from cgan_training.errors import CheckpointError, brief
from cgan_training.hardware.precision import resolve_precision
from cgan_training.hardware.processes import SINGLE_PROCESS, ProcessGroup, StopVote
from cgan_training.provenance import check_provenance
from cgan_training.recipe.schema import MOST_COUNT, Recipe, recipe_from
from cgan_training.run.artifacts import RunArtifacts
from cgan_training.run.checkpoint import load_checkpoint
from cgan_training.run.options import RunOptions
from cgan_training.run.progress import Progress
from cgan_training.run.signals import StopSignals

FOUND_BY = ("dataset", "data_dir")  # what a config.json says of how the data were found
DEVICES = ("cpu", "cuda", "mps")
EPOCHS = (0, MOST_COUNT)
NUMBERS = {"threads": (1, 1024), "keep_every": EPOCHS, "eval_every": EPOCHS}  # in it
FIGURES = {field.name for field in fields(Epoch)}  # of an epoch, in its metrics


def train(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    *,
    device: torch.device,
    options: RunOptions | None = None,
    world: ProcessGroup = SINGLE_PROCESS,
    say: Callable[[str], None] = print,
) -> Path:
    """Train a recipe on a data set into a run directory.

    A checkpoint is written after each epoch, every options.checkpoint_seconds, and when SIGINT or
    SIGTERM arrives. A run that was killed and resumed ends with the same model, bit for bit, as
    one that was not, on the CPU with the same number of threads and of processes.

    Args:
        recipe: how to train.
        dataset: what to learn.
        run_dir: where config.json, metrics.jsonl, samples/, samples.webp, checkpoint.pt, grid.png,
            curves.png and model.pt go; must hold no other run, or with options.resume, this one.
        device: torch's name of where to train.
        options: how long, and what to keep.
        world: the processes that train together; each calls this, and raises the same. Only rank 0
            reads and writes the run directory.
        say: told what happens, a line at a time.

    Returns:
        The path of model.pt.

    Raises:
        RecipeError: the processes cannot share a batch evenly.
        DatasetError: they were given different data.
        OutputError: the run directory cannot be written, or holds a run.
        CheckpointError: there is nothing to resume, or it is another recipe's or data set's; or
            nothing to start from, or its networks are of another kind.
        DivergedError: the losses are no longer numbers.
        CollapsedError: the generator draws one picture whatever it is asked for.
        MissingExtraError: options.tensorboard, and TensorBoard is not installed.
        StoppedError: SIGINT or SIGTERM arrived; everything is saved.
    """
    options = options or RunOptions()
    recipe = resolve_precision(recipe, device)
    identity = {"recipe": recipe.to_dict(), "dataset_sha256": _sha256(dataset)}
    world.require_same(identity)
    trainer = Trainer(recipe, dataset, device, world)
    metrics = None
    if options.resume:
        metrics = _resume(trainer, run_dir, identity, say)
    elif options.start_from is not None:
        identity["start"] = start(trainer, options.start_from, say)
    scribe = RunArtifacts(trainer, run_dir, metrics, identity, options)
    vote, time_is_up = StopVote(world), 0.0
    until = trainer.seconds_limit = trainer.seconds + (options.seconds_limit or math.inf)
    with (
        StopSignals() as stop,
        Progress(
            recipe.epochs, trainer.steps_per_epoch, trainer.batch_size, until, say
        ) as progress,
    ):

        def on_step(done: int, sums: Tensor) -> bool:
            progress.step(done, sums)
            number, time_is_up, is_due = vote(*news(), scribe.is_due())
            if is_due:
                scribe.save()
            return not number and not time_is_up

        def news() -> tuple[int, bool]:
            return stop.received or 0, trainer.seconds >= until

        while trainer.epoch < recipe.epochs and not time_is_up:
            progress.start_epoch(trainer.epoch + 1, trainer.step)
            epoch = trainer.train_epoch(on_step)
            if trainer.epoch_is_whole:
                progress.end_epoch(epoch)
                scribe.record(epoch)
            scribe.save()
            number, time_is_up = world.most(*news())
            if number:
                received = signal.Signals(int(number))
                raise StoppedError(
                    f"stopped by {received.name} in epoch {epoch.epoch}; everything is "
                    f"saved, go on with cgan-train --resume {run_dir}",
                    received,
                )
        if not trainer.epoch_is_whole:  # time was up: say how far it came
            progress.end_epoch(epoch)
            scribe.record(epoch)
    return scribe.finish()


def read_config(run_dir: Path) -> dict[str, Any]:
    """Return a run's config.json.

    Raises:
        CheckpointError: there is no run in the folder.
    """
    path = run_dir / "config.json"
    try:
        return _checked_config(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise CheckpointError(f"{run_dir} holds no run (no config.json); check the path") from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read or is damaged; start a new run") from error


def _checked_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config.json whose values are of the types that --resume takes them for.

    Raises:
        TypeError, ValueError: one is not.
    """
    if not isinstance(config, dict) or config.get("device", "cpu") not in DEVICES:
        raise TypeError("device")
    for key, kind in {"dataset": dict, "tensorboard": bool}.items():
        if type(config.get(key, kind())) is not kind:
            raise TypeError(key)
    if not all(isinstance(config.get("dataset", {}).get(key, ""), str) for key in FOUND_BY):
        raise TypeError("dataset")
    for key, (least, most) in NUMBERS.items():
        value = config.get(key, least)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(key)
    return config


def _checkpoint(world: ProcessGroup, run_dir: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the run's last checkpoint that is whole; say so where it is not the last."""
    checkpoint, problem = world.from_rank_zero(lambda: load_checkpoint(run_dir))
    if problem is not None:
        say(f"note: {problem} Going on from the checkpoint before it.")
    return checkpoint


def _resume(
    trainer: Trainer, run_dir: Path, identity: dict[str, Any], say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Put the trainer where the run's checkpoint stands; return the metrics up to there."""
    checkpoint = _checkpoint(trainer.world, run_dir, say)
    theirs, ours = checkpoint.get("recipe"), identity["recipe"]
    if not _same(theirs, ours):
        theirs = theirs if isinstance(theirs, dict) else {}
        differ = [key for key in ours if not _same(theirs.get(key), ours[key])]
        what = f"{differ[0]} differs from {ours[differ[0]]!r}" if differ else "it has more keys"
        raise CheckpointError(
            f"the run in {run_dir} has another recipe ({what}); resume "
            "it without --recipe, --epochs and --seed, or start a new run"
        )
    if not _same(checkpoint.get("dataset_sha256"), identity["dataset_sha256"]):
        raise CheckpointError(
            f"the run in {run_dir} learnt other data than {trainer.dataset.source}; "
            "give its --dataset and --data-dir"
        )
    try:
        metrics = _checked_metrics(checkpoint["metrics"])
        trainer.load_state(checkpoint["trainer"])
        if "start" in checkpoint:
            identity["start"] = check_provenance(checkpoint["start"])
    except Exception as error:  # whatever torch raises when it is given something else
        raise CheckpointError(
            f"the checkpoint in {run_dir} does not fit its recipe ({brief(error)}); start a new run"
        ) from error
    say(f"resumed at epoch {trainer.epoch + 1}, step {trainer.step:,}")
    return metrics


def start(trainer: Trainer, run_dir: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Give the trainer the networks of a run, and return what that run was.

    Raises:
        CheckpointError: the folder holds no run, or one of other networks.
    """
    config = trainer.world.from_rank_zero(lambda: read_config(run_dir))
    checkpoint = _checkpoint(trainer.world, run_dir, say)
    try:
        theirs = checkpoint["trainer"]
        was = {
            "recipe": recipe_from(checkpoint["recipe"], str(run_dir)).to_dict(),
            "dataset": config["dataset"]["name"],
            "threads": config["threads"],
            "epochs": theirs["epoch"],
            "steps": theirs["step"],
            "seconds": round(theirs["seconds"], 1),
        }
        if "start" in checkpoint:
            was["start"] = checkpoint["start"]
        was = check_provenance(was)
        trainer.start_from(theirs)
    except Exception as error:  # whatever torch raises when it is given something else
        raise CheckpointError(
            f"a run of this recipe and data cannot start from the networks in {run_dir} "
            f"({brief(error)}); start from a run with the same networks, image size and classes"
        ) from error
    return was


def _same(found: object, wanted: object) -> bool:
    """Return whether a value is the same as a plain one. It may hold tensors, whose == is none."""
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict)
            and found.keys() == wanted.keys()
            and all(_same(found[key], wanted[key]) for key in wanted)
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list) and len(found) == len(wanted) and all(map(_same, found, wanted))
        )
    return type(found) is type(wanted) and found == wanted


def _checked_metrics(lines: Any) -> list[dict[str, Any]]:
    """Return the metrics of a checkpoint.

    Raises:
        TypeError, ValueError: they are no list of an epoch's figures.
    """
    metrics = [dict(line) for line in lines]
    for line in metrics:
        figures = all(type(value) in (int, float) for value in line.values())
        if not line.keys() >= FIGURES or not figures or {type(key) for key in line} != {str}:
            raise ValueError("its metrics are none")
    return metrics


def _sha256(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for tensor in (dataset.images, dataset.labels):
        digest.update(f"{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
