"""Train a recipe from a new or restored state to model.pt."""

import logging
import math
import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from cgan_runtime.errors import StoppedError
from cgan_training.data import Dataset
from cgan_training.engine import Trainer
from cgan_training.hardware.precision import resolve_precision
from cgan_training.hardware.processes import SINGLE_PROCESS, PeriodicMaximum, Processes
from cgan_training.recipe import Recipe
from cgan_training.run.artifacts import RunArtifacts
from cgan_training.run.config import RunOptions
from cgan_training.run.directory import delete_leftovers, open_run_dir
from cgan_training.run.history import History
from cgan_training.run.progress import Progress
from cgan_training.run.resume import resume, start_from
from cgan_training.run.tensorboard import require_tensorboard

_logger = logging.getLogger(__name__)
# The system sends SIGHUP when the terminal is closed. Windows does not have it.
STOP_SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def train(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    *,
    device: torch.device,
    options: RunOptions | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> Path:
    """Train a recipe on a dataset and write the results to a run directory.

    A checkpoint is written after each epoch, every options.checkpoint_seconds, and when SIGINT,
    SIGTERM or SIGHUP arrives. A run that was killed and resumed ends with the same weights, bit for
    bit, as an uninterrupted one, on a CPU with the same numbers of threads and processes. Progress
    goes to the logger "cgan_training.run". If a picture cannot be written, the error is logged.

    Args:
        recipe: the settings of the training.
        dataset: the training images.
        run_dir: the directory for config.json, metrics.jsonl, samples/, samples.webp,
            checkpoint.pt, grid.png, curves.png and model.pt. It must not contain a run, or with
            options.resume it must contain the run to continue.
        device: the device to train on.
        options: limits, checkpoints, evaluation and extra files.
        processes: the processes that train together. Each of them calls this function, and an
            error is raised in all of them. Only rank 0 reads and writes the run directory.

    Returns:
        The path of model.pt.

    Raises:
        RecipeError: the recipe cannot train on this dataset with this number of processes.
        DeviceError: the device does not support the recipe's precision.
        DatasetError: the processes have different datasets.
        OutputError: the run directory cannot be written, contains another run, or is in use.
        CheckpointError: the run to continue or to start from is damaged or does not fit.
        DivergedError: the losses are not finite numbers.
        CollapsedError: the generator returns the same image for every noise and label.
        MissingExtraError: options.tensorboard is set, but TensorBoard is not installed.
        StoppedError: SIGINT, SIGTERM or SIGHUP arrived; the state is saved.
    """
    options = options or RunOptions()
    recipe = resolve_precision(recipe, device)
    identity = {"recipe": recipe.to_dict(), "dataset_sha256": dataset.sha256}
    processes.require_same(identity)
    if options.tensorboard:
        processes.on_rank_zero(require_tensorboard)
    trainer = Trainer(recipe, dataset, device, processes)
    with _open_artifacts(trainer, run_dir, identity, options) as artifacts:
        _announce(trainer, run_dir)
        return _train(trainer, artifacts, run_dir, options)


@contextmanager
def _open_artifacts(
    trainer: Trainer, run_dir: Path, identity: dict[str, Any], options: RunOptions
) -> Iterator[RunArtifacts]:
    """Restore or initialize the trainer, and open the run directory, locked for the block."""
    processes, metrics, history = trainer.processes, None, History()
    if options.start_from is not None and not options.resume:
        history = History(started_from=start_from(trainer, options.start_from))
    with ExitStack() as stack:
        opened = open_run_dir(run_dir, resume=options.resume)
        locked = processes.on_rank_zero(lambda: stack.enter_context(opened))
        if options.resume:
            metrics, history = resume(trainer, run_dir, identity)
            if locked and processes.rank == 0:
                delete_leftovers(run_dir)
        artifacts = RunArtifacts(trainer, run_dir, identity, options, metrics, history)
        processes.on_rank_zero(artifacts.open)
        yield artifacts


def _announce(trainer: Trainer, run_dir: Path) -> None:
    """Log the recipe, dataset, device and directory of a run that is about to start."""
    recipe, dataset, size = trainer.recipe, trainer.dataset, trainer.processes.size
    epochs = "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs} epochs"
    device = f"{trainer.device.type} in {size} processes" if size > 1 else trainer.device
    images = f"{len(dataset.labels):,} images ({dataset.source})"
    run = f"recipe {recipe.name}: {epochs} on {images}, on {device}, into {run_dir}"
    _logger.info("%s", run)
    if trainer.epoch == recipe.epochs:
        _logger.info(
            "the run is complete, so only its model and pictures are written again; to train its "
            "networks further, use --start-from %s and another --run-dir",
            shlex.quote(str(run_dir)),
        )
    elif trainer.step:
        _logger.info("resumed at epoch %d, step %s", trainer.epoch + 1, f"{trainer.step:,}")


def _train(trainer: Trainer, artifacts: RunArtifacts, run_dir: Path, options: RunOptions) -> Path:
    """Train until the recipe's epochs are complete or the time is up; return model.pt's path."""
    processes = trainer.processes
    trainer.seconds_limit = trainer.seconds + (options.seconds_limit or math.inf)
    maximum, time_is_up = PeriodicMaximum(processes), 0.0
    progress = Progress(trainer, bar=options.progress_bar)
    with _record_stop_signals() as received, progress.bar:

        def stop_conditions() -> tuple[int, bool]:
            return received[-1] if received else 0, trainer.seconds >= trainer.seconds_limit

        def on_step(steps: int, sums: Tensor) -> bool:
            progress.step(steps, sums)
            *stopping, is_due = maximum(*stop_conditions(), artifacts.is_checkpoint_due())
            if is_due and steps < trainer.steps_per_epoch:  # a complete epoch is saved below
                artifacts.save_checkpoint()
            return not any(stopping)

        while trainer.epoch < trainer.recipe.epochs and not time_is_up:
            progress.start_epoch()
            epoch = trainer.train_epoch(on_step)
            if trainer.is_between_epochs:
                progress.end_epoch(epoch)
                processes.on_rank_zero(partial(artifacts.record, epoch))
            artifacts.save_checkpoint()
            signal_number, time_is_up = processes.maximum(*stop_conditions())
            if signal_number:
                stopped_by = signal.Signals(int(signal_number))
                raise StoppedError(
                    f"stopped by {stopped_by.name} in epoch {epoch.epoch}; the state is saved, "
                    f"continue with cgan-train --resume {shlex.quote(str(run_dir))}",
                    stopped_by,
                )
        if not trainer.is_between_epochs:  # the time limit ended the run within an epoch
            progress.end_epoch(epoch)
            processes.on_rank_zero(partial(artifacts.record, epoch))
    if time_is_up and trainer.epoch < trainer.recipe.epochs:
        # Rounded up, because 0.0 would count as missing.
        artifacts.history.stopped_after_seconds = math.ceil(trainer.seconds * 10) / 10
    return processes.on_rank_zero(artifacts.finish)


@contextmanager
def _record_stop_signals() -> Iterator[list[int]]:
    """Within the block, append STOP_SIGNALS to the yielded list instead of ending the process.

    A second signal of the same number is handled as usual. Signals that are ignored, such as SIGHUP
    under nohup, stay ignored. Only the main thread can handle signals.
    """
    received: list[int] = []

    def record(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, previous[signal.Signals(number)])

    in_main_thread = threading.current_thread() is threading.main_thread()
    numbers = STOP_SIGNALS if in_main_thread else ()
    handlers = {number: signal.getsignal(number) for number in numbers}
    previous = {key: value for key, value in handlers.items() if value is not signal.SIG_IGN}
    for number in previous:
        signal.signal(number, record)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
