"""The training engine: one Trainer, and the parts that it is made of."""

from cgan_training.engine.trainer import EpochMetrics, Trainer

__all__ = ["EpochMetrics", "Trainer"]
