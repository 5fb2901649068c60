"""Continue a run from its checkpoint, or start a new run from the networks of another."""

import json
import logging
import shlex
from dataclasses import fields
from math import isfinite
from pathlib import Path
from pprint import saferepr
from typing import Any

import torch

from cgan_training.data.conversion import conversion_from_dict
from cgan_training.engine import EpochMetrics, Trainer
from cgan_training.errors import CheckpointError, one_line
from cgan_training.hardware.processes import Processes
from cgan_training.provenance import check_provenance
from cgan_training.recipe import recipe_from_dict
from cgan_training.run.checkpoint import load_checkpoint
from cgan_training.run.config import read_config
from cgan_training.run.history import History, environment

_METRICS = {field.name for field in fields(EpochMetrics)}  # names of the metrics of every epoch
_logger = logging.getLogger(__name__)


def resume(
    trainer: Trainer, run_dir: Path, identity: dict[str, Any]
) -> tuple[list[dict[str, Any]], History]:
    """Restore a new trainer's state from the checkpoint of its run.

    Returns:
        The metrics of the completed epochs, and the history of the run.

    Raises:
        CheckpointError: the checkpoint is damaged, or its "recipe" or "dataset_sha256" differs from
            the value in `identity`.
    """
    checkpoint = _load_checkpoint(trainer.processes, run_dir)
    saved, expected = checkpoint.get("recipe"), identity["recipe"]
    if not _equal(saved, expected):
        saved = saved if isinstance(saved, dict) else {}
        differing = [key for key in expected if not _equal(saved.get(key), expected[key])]
        reason = "it has additional keys"
        if differing:
            key = differing[0]
            reason = f"{key} is {saferepr(saved.get(key)):.80}, not {expected[key]!r}"
        raise CheckpointError(
            f"the run in {run_dir} has a different recipe ({reason}); resume it without --recipe, "
            "--epochs, --precision and --seed, train its networks further with "
            f"--start-from {shlex.quote(str(run_dir))} and another --run-dir, or start a new run"
        )
    if not _equal(checkpoint.get("dataset_sha256"), identity["dataset_sha256"]):
        raise CheckpointError(
            f"the run in {run_dir} was trained on other images, labels or class names than "
            f"{trainer.dataset.source}; give its --dataset and --data-dir, and resume it without "
            "--image-size and --grayscale"
        )
    try:
        lines = checkpoint["metrics"].splitlines()  # the lines of metrics.jsonl
        metrics = [_check_metrics(dict(json.loads(line))) for line in lines]
        started_from = checkpoint.get("started_from")
        if started_from is not None:
            started_from = check_provenance(started_from)
        trainer.load_state_dict(checkpoint["trainer"])
    except Exception as error:  # torch raises errors of many types for a state that does not fit
        raise CheckpointError(
            f"the checkpoint in {run_dir} does not fit its recipe ({one_line(error)}); "
            "start a new run"
        ) from error
    same_environment = _equal(checkpoint.get("environment"), environment(trainer))
    if not same_environment:
        _warn_of_threads(trainer, checkpoint.get("environment"))
    # A missing or damaged value of "resumed" counts as True.
    return metrics, History(started_from, same_environment and checkpoint.get("resumed") is False)


def _warn_of_threads(trainer: Trainer, saved: object) -> None:
    """Warn if a run on the CPU continues with another number of threads."""
    before, now = saved.get("threads") if isinstance(saved, dict) else None, torch.get_num_threads()
    is_affected = trainer.device.type == "cpu" and trainer.epoch < trainer.recipe.epochs
    if is_affected and type(before) is int and before != now:
        _logger.warning(
            "the number of threads changed from %d to %d, so the weights will differ in the last "
            "bits from an uninterrupted run; use --threads %d to avoid that",
            before,
            now,
            before,
        )


def start_from(trainer: Trainer, run_dir: Path) -> dict[str, Any]:
    """Copy the networks of another run into the trainer, and return a record of that run."""
    config = trainer.processes.on_rank_zero(lambda: read_config(run_dir))
    checkpoint = _load_checkpoint(trainer.processes, run_dir)
    try:
        state = checkpoint["trainer"]
        record = {
            "recipe": recipe_from_dict(checkpoint["recipe"], str(run_dir)).to_dict(),
            "dataset": config["dataset"]["name"],
            **conversion_from_dict(config["dataset"]).to_dict(),
            "threads": config["threads"],
            "epochs": state["epoch"],
            "steps": state["step"],
            "seconds": round(state["seconds"], 1),
        }
        if "started_from" in checkpoint:
            record["started_from"] = checkpoint["started_from"]
        check_provenance(record)
        trainer.state.load_networks(state)
    except Exception as error:  # torch raises errors of many types for a state that does not fit
        raise CheckpointError(
            f"this recipe and dataset cannot start from the networks in {run_dir} "
            f"({one_line(error)}); use its recipe, or start from a run with the same networks, "
            "auxiliary losses, image size and classes"
        ) from error
    return record


def _load_checkpoint(processes: Processes, run_dir: Path) -> dict[str, Any]:
    """Return the newest intact checkpoint; warn if a newer one is damaged."""
    checkpoint, problem = processes.on_rank_zero(lambda: load_checkpoint(run_dir))
    if problem is not None:
        _logger.warning("%s; using the checkpoint before it", problem)
    return checkpoint


def _equal(value: object, expected: object) -> bool:
    """Return whether an untrusted value equals a plain value in value and type.

    Their repr() with sorted keys is compared, because == of tensors returns a tensor, and because
    False == 0.
    """
    return saferepr(value) == saferepr(expected)


def _check_metrics(metrics: dict[Any, Any]) -> dict[str, Any]:
    """Return the metrics of an epoch, after a check of their names and types.

    Raises:
        ValueError: a field of EpochMetrics is missing, a name is not a string, or a value is not a
            finite number.
    """
    numeric = all(type(value) in (int, float) and isfinite(value) for value in metrics.values())
    if not metrics.keys() >= _METRICS or not numeric or {*map(type, metrics)} != {str}:
        raise ValueError("metrics must be one table of numbers per epoch")
    return metrics
