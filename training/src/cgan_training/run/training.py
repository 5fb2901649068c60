"""A whole training run, from an untrained or restored state to model.pt."""

import hashlib
import math
import signal
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from cgan_runtime.errors import StoppedError
from cgan_training.data import Dataset
from cgan_training.engine import Trainer
from cgan_training.hardware.precision import resolve_precision
from cgan_training.hardware.processes import SINGLE_PROCESS, ProcessGroup, Vote
from cgan_training.recipe import Recipe
from cgan_training.run.artifacts import RunArtifacts
from cgan_training.run.options import RunOptions
from cgan_training.run.progress import Progress
from cgan_training.run.resume import resume, start_from
from cgan_training.run.signals import record_stop_signals


def train(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    *,
    device: torch.device,
    options: RunOptions | None = None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> Path:
    """Train a recipe on a dataset and write the results to a run directory.

    A checkpoint is written after each epoch, every options.checkpoint_seconds, and when SIGINT or
    SIGTERM arrives. A run that was killed and resumed ends with the same weights, bit for bit, as
    an uninterrupted one, on a CPU with the same numbers of threads and processes. Progress goes to
    the logger "cgan_training.run".

    Args:
        recipe: how to train.
        dataset: the training images.
        run_dir: receives config.json, metrics.jsonl, samples/, samples.webp, checkpoint.pt,
            grid.png, curves.png and model.pt. Must not contain another run; with options.resume it
            must contain this one.
        device: the device to train on.
        options: limits, checkpoints, evaluation and extra files.
        processes: the processes that train together. Each of them calls this function, and an
            error is raised in all of them. Only rank 0 reads and writes the run directory.

    Returns:
        The path of model.pt.

    Raises:
        RecipeError: the processes cannot share a batch evenly.
        DeviceError: the device does not support the recipe's precision.
        DatasetError: the processes have different datasets.
        OutputError: the run directory cannot be written, or contains another run.
        CheckpointError: the run cannot be resumed or started from: there is no usable checkpoint,
            or it belongs to another recipe, dataset or kind of network.
        DivergedError: the losses are not finite numbers.
        CollapsedError: the generator returns the same image for every noise and label.
        MissingExtraError: options.tensorboard is set, but TensorBoard is not installed.
        StoppedError: SIGINT or SIGTERM arrived; the state is saved.
    """
    options = options or RunOptions()
    recipe = resolve_precision(recipe, device)
    identity = {"recipe": recipe.to_dict(), "dataset_sha256": _hash_dataset(dataset)}
    processes.require_same(identity)
    trainer = Trainer(recipe, dataset, device, processes)
    metrics = started_from = None
    if options.resume:
        metrics, started_from = resume(trainer, run_dir, identity)
    elif options.start_from is not None:
        started_from = start_from(trainer, options.start_from)
    artifacts = RunArtifacts(trainer, run_dir, identity, options, metrics, started_from)

    seconds_limit = trainer.seconds + (options.seconds_limit or math.inf)
    trainer.seconds_limit = seconds_limit
    vote, time_is_up = Vote(processes), 0.0
    progress = Progress(trainer, seconds_limit, bar=options.progress_bar)
    with record_stop_signals() as received, closing(progress):

        def stop_conditions() -> tuple[int, bool]:
            return received[-1] if received else 0, trainer.seconds >= seconds_limit

        def on_step(steps: int, sums: Tensor) -> bool:
            progress.step(steps, sums)
            *stopping, is_due = vote(*stop_conditions(), artifacts.is_checkpoint_due())
            if is_due:
                artifacts.save_checkpoint()
            return not any(stopping)

        while trainer.epoch < recipe.epochs and not time_is_up:
            progress.start_epoch(trainer.epoch + 1, trainer.step)
            epoch = trainer.train_epoch(on_step)
            if trainer.epoch_is_complete:
                progress.end_epoch(epoch)
                artifacts.record(epoch)
            artifacts.save_checkpoint()
            signal_number, time_is_up = processes.maximum(*stop_conditions())
            if signal_number:
                stopped_by = signal.Signals(int(signal_number))
                raise StoppedError(
                    f"stopped by {stopped_by.name} in epoch {epoch.epoch}; the state is saved, "
                    f"continue with cgan-train --resume {run_dir}",
                    stopped_by,
                )
        if not trainer.epoch_is_complete:  # the time limit ended the run within an epoch
            progress.end_epoch(epoch)
            artifacts.record(epoch)
    return artifacts.finish()


def _hash_dataset(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for tensor in (dataset.images, dataset.labels):
        digest.update(f"{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
