"""Save and restore the state of a classifier's training, so that it can be interrupted."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cgan_runtime.errors import OutputError
from cgan_training.archive import load_archive, save_archive

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassifierTrainingState:
    """The state that determines the next epochs of a training, and the file that stores it.

    An interrupted training ends with the weights of an uninterrupted one. Saving is atomic, so two
    processes that train the same classifier can share the file. Each reads it once, at its start.
    """

    path: Path
    classifier: nn.Module
    optimizer: torch.optim.SGD  # must use momentum
    schedule: torch.optim.lr_scheduler.OneCycleLR  # advanced once per step
    rng: torch.Generator
    epochs: int  # total number of epochs
    steps: int  # steps per epoch

    def restore(self) -> int:
        """Restore the state and return the number of finished epochs; 0 if there is no valid state.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            if self.path.exists():
                return self._restore(load_archive(self.path))
        except Exception as error:  # noqa: BLE001 - torch raises many types for damaged values
            _logger.warning("cannot continue from %s, starting again: %s", self.path, error)
        save_archive({}, self.path)  # fails now, not after minutes of training
        return 0

    def save(self, epoch: int) -> None:
        """Save the state after an epoch. A failure costs only time, so it is logged."""
        content = {
            "epoch": epoch,
            "epochs": self.epochs,
            "weights": dict(self.classifier.state_dict()),
            "momentum": [
                self.optimizer.state[parameter]["momentum_buffer"] for parameter in self._parameters
            ],
            "random": self.rng.get_state(),
        }
        try:
            save_archive(content, self.path)
        except OutputError as error:
            _logger.warning("the training of the classifier cannot be continued later: %s", error)

    @property
    def _parameters(self) -> list[nn.Parameter]:
        return list(self.classifier.parameters())

    def _restore(self, content: dict[str, Any]) -> int:
        """Check all values, then copy them. Damaged values raise errors of many types."""
        if not content:
            return 0
        epoch, weights, momentum = (content[key] for key in ("epoch", "weights", "momentum"))
        if type(epoch) is not int or not 0 < epoch < self.epochs == content["epochs"]:
            raise ValueError("its number of epochs differs")
        expected = self.classifier.state_dict()
        if weights.keys() != expected.keys() or len(momentum) != len(self._parameters):
            raise ValueError("it belongs to another network")
        for tensor, fresh in (
            *((weights[name], expected[name]) for name in expected),
            *zip(momentum, self._parameters, strict=True),
        ):
            has_form = tensor.shape == fresh.shape and tensor.dtype == fresh.dtype
            if not has_form or not _is_finite(tensor):
                raise ValueError("a tensor has a wrong type or shape, or is not finite")
        self.rng.set_state(content["random"])
        self.classifier.load_state_dict(weights)
        for parameter, buffer in zip(self._parameters, momentum, strict=True):
            self.optimizer.state[parameter]["momentum_buffer"] = buffer
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns because the optimizer has made no step
            for _ in range(epoch * self.steps):
                self.schedule.step()
        return epoch


def _is_finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())
