"""The history of a run: facts about its training that model.pt and the checkpoints hold."""

import math
import os
import platform
from dataclasses import dataclass
from typing import Any

import torch

from cgan_training.engine import Trainer
from cgan_training.run.config import RunOptions, package_versions


@dataclass
class History:
    """Facts about the training of a run, besides its recipe and dataset."""

    started_from: dict[str, Any] | None = None  # the record of the run that this one started from
    # Whether all earlier parts of the run had this part's environment and no time limit, so that
    # one command would train the same weights. The opposite is the key "resumed" of model.pt.
    is_reproducible: bool = True
    stopped_after_seconds: float | None = None  # training time, if the time limit ended the run

    def to_dict(self, trainer: Trainer) -> dict[str, Any]:
        """Return the part of the history that a checkpoint holds."""
        return {
            **self.origin(),
            "environment": environment(trainer),
            # For the next part, to which this part is an earlier one.
            "resumed": not self.is_reproducible or math.isfinite(trainer.seconds_limit),
        }

    def origin(self) -> dict[str, Any]:
        """Return the key started_from if the run started from another one, otherwise nothing."""
        return {} if self.started_from is None else {"started_from": self.started_from}

    def training_facts(self, trainer: Trainer, options: RunOptions) -> dict[str, Any]:
        """Return the facts that model.pt holds; see Model.training."""
        facts = {
            "epochs": trainer.epoch,
            "steps": trainer.step,
            "seconds": round(trainer.seconds, 1),
            **environment(trainer),
            "machine": _describe_machine(trainer.device),
            "dataset_path": _encodable(options.dataset_argument or trainer.dataset.name),
            "data_dir": _encodable(options.data_dir),
            "dataset_sha256": trainer.dataset.sha256,
            **trainer.dataset.conversion.to_dict(),
            "recipe_path": _encodable(options.recipe_path),
            "stopped_after_seconds": self.stopped_after_seconds,
            "seconds_limit": options.seconds_limit,
            "resumed": not self.is_reproducible,
        }
        optional = ("data_dir", "recipe_path", "stopped_after_seconds", "seconds_limit", "resumed")
        present = {key: fact for key, fact in facts.items() if fact or key not in optional}
        return present | self.origin()


def environment(trainer: Trainer) -> dict[str, Any]:
    """Return the facts that affect the trained weights besides the recipe and the dataset."""
    return {
        "device": trainer.device.type,
        "processes": trainer.processes.size,
        "threads": torch.get_num_threads(),
        "versions": package_versions(),
    }


def _encodable(path: str) -> str:
    """Escape the lone surrogates of a path that is not valid UTF-8."""
    return path.encode("utf-8", "backslashreplace").decode()


def _describe_machine(device: torch.device) -> str:
    """Return the name of the GPU, or of the CPU such as "x86_64 with AVX512, 2 CPUs"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} with {capability}, {os.cpu_count()} CPUs"
