"""Quality measures of generated images, one module per measure."""

from cgan_training.evaluation.cas import classification_accuracy_score
from cgan_training.evaluation.classifier import predict_with_features
from cgan_training.evaluation.controls import CONTROLS, SHIFTED, make_controls
from cgan_training.evaluation.epoch_evaluator import EpochEvaluator
from cgan_training.evaluation.memorization import memorization_rate, nearest_training_images
from cgan_training.evaluation.quality import Quality, Reference

__all__ = [
    "CONTROLS",
    "SHIFTED",
    "EpochEvaluator",
    "Quality",
    "Reference",
    "classification_accuracy_score",
    "make_controls",
    "memorization_rate",
    "nearest_training_images",
    "predict_with_features",
]
