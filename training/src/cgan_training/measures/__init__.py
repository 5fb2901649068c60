"""How good drawn images are: a file a measure, each with its source."""

from cgan_training.measures.cas import classification_accuracy_score
from cgan_training.measures.controls import CONTROLS, SHIFTED, controls
from cgan_training.measures.frechet import Gaussian, frechet_distance
from cgan_training.measures.memorisation import memorisation, nearest_training_images
from cgan_training.measures.meter import Meter
from cgan_training.measures.neighbours import Neighbourhood, overlap
from cgan_training.measures.parzen import parzen_log_likelihood
from cgan_training.measures.quality import Quality, Reference, look

__all__ = [
    "CONTROLS",
    "SHIFTED",
    "Gaussian",
    "Meter",
    "Neighbourhood",
    "Quality",
    "Reference",
    "classification_accuracy_score",
    "controls",
    "frechet_distance",
    "look",
    "memorisation",
    "nearest_training_images",
    "overlap",
    "parzen_log_likelihood",
]
