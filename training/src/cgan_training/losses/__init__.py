"""Losses: a file a kind; here is the list of them."""

from cgan_training.losses.base import Loss
from cgan_training.losses.hinge import HingeLoss
from cgan_training.losses.logistic import LogisticLoss
from cgan_training.losses.r1 import r1_penalty

# The kinds that a recipe's table [loss] may name.
LOSSES: dict[str, type[Loss]] = {loss.kind: loss for loss in (LogisticLoss, HingeLoss)}

__all__ = ["LOSSES", "HingeLoss", "LogisticLoss", "Loss", "r1_penalty"]
