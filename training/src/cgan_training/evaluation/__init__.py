"""How good drawn images are: a file a measure, each with its source."""

from cgan_training.evaluation.cas import classification_accuracy_score
from cgan_training.evaluation.controls import CONTROLS, SHIFTED, controls
from cgan_training.evaluation.epoch_evaluator import EpochEvaluator
from cgan_training.evaluation.frechet import Gaussian, frechet_distance
from cgan_training.evaluation.memorization import memorization, nearest_training_images
from cgan_training.evaluation.neighbors import Neighborhood, overlap
from cgan_training.evaluation.parzen import parzen_log_likelihood
from cgan_training.evaluation.quality import Quality, Reference, classify_features

__all__ = [
    "CONTROLS",
    "SHIFTED",
    "EpochEvaluator",
    "Gaussian",
    "Neighborhood",
    "Quality",
    "Reference",
    "classification_accuracy_score",
    "classify_features",
    "controls",
    "frechet_distance",
    "memorization",
    "nearest_training_images",
    "overlap",
    "parzen_log_likelihood",
]
