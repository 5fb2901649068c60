"""The state of a training run: everything that its next step depends on."""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.swa_utils import AveragedModel

from cgan_training.engine.objective import DiscriminatorWithTerms
from cgan_training.engine.optimizer import load_optimizer_state, optimizer_state
from cgan_training.engine.state_validation import (
    EpochSize,
    require_adam_state,
    require_image_order,
    require_same_structure,
)
from cgan_training.networks import Generator


@dataclass
class EpochProgress:
    """Progress within the current epoch."""

    # [4], see Trainer.train_epoch(): this process's sums; after a resume, they begin with the mean.
    sums: Tensor
    order: Tensor | None = None  # indices of the epoch's images; None before its first step
    steps: int = 0  # completed steps of the epoch
    seconds: float = 0.0  # training time of the epoch


@dataclass
class TrainingState:
    """The networks, optimizers, random numbers and counters of a run."""

    generator: Generator
    discriminator: DiscriminatorWithTerms
    optimizer_g: Adam
    optimizer_d: Adam
    ema: AveragedModel | None  # the generator with the EMA of its weights
    rng: torch.Generator
    current: EpochProgress
    epoch: int = 0  # completed epochs
    step: int = 0  # completed steps
    seconds: float = 0.0  # training time

    def to_dict(self, sums: Tensor) -> dict[str, Any]:
        """Return the state as tensors and plain values.

        The argument `sums` is current.sums, averaged over all processes.
        """
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimizer_g": optimizer_state(self.optimizer_g),
            "optimizer_d": optimizer_state(self.optimizer_d),
            **({"ema": self.ema.state_dict()} if self.ema is not None else {}),
            "rng": self.rng.get_state(),
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "epoch_sums": sums,
            "epoch_order": self.current.order,
            "epoch_steps": self.current.steps,
            "epoch_seconds": self.current.seconds,
        }

    def load(self, values: dict[str, Any], size: EpochSize) -> None:
        """Restore the values that to_dict() returned, after a check of all of them.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError, AttributeError: a value does not fit.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged values can cause warnings of PyTorch
            self._validate(values)
            order, steps = values["epoch_order"], values["epoch_steps"]
            require_image_order(order, steps, size)
        self.generator.load_state_dict(values["generator"])
        self.discriminator.load_state_dict(values["discriminator"])
        load_optimizer_state(self.optimizer_g, values["optimizer_g"])
        load_optimizer_state(self.optimizer_d, values["optimizer_d"])
        if self.ema is not None:
            self.ema.load_state_dict(values["ema"])
        self.rng.set_state(values["rng"])
        self.epoch, self.step, self.seconds = values["epoch"], values["step"], values["seconds"]
        device = self.current.sums.device
        self.current = EpochProgress(
            sums=values["epoch_sums"].to(device),
            order=None if order is None else order.to(device),
            steps=steps,
            seconds=values["epoch_seconds"],
        )

    def load_networks(self, values: dict[str, Any]) -> None:
        """Load only the networks of another run's state. See load() for the errors."""
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        for name, network in networks.items():
            require_same_structure(values[name], network.state_dict(), name)
        for name, network in networks.items():
            network.load_state_dict(values[name])

    def _validate(self, values: dict[str, Any]) -> None:
        """Check that saved values have the types, shapes and keys of this state."""
        expected = self.to_dict(self.current.sums)
        networks = {"optimizer_g": self.generator, "optimizer_d": self.discriminator}
        for name, network in networks.items():
            shapes = [parameter.shape for parameter in network.parameters()]
            require_adam_state(values[name], expected.pop(name), shapes, name)
        torch.Generator(self.rng.device).set_state(values["rng"])
        del expected["rng"], expected["epoch_order"]  # load() checks the order of the images
        for name, value in expected.items():
            require_same_structure(values[name], value, name)
