"""Classification accuracy score: what a classifier learns from drawn images alone.

Ravuri & Vinyals 2019, section 3: train on drawn images and their labels, test on real ones. It
falls with everything that is missing or wrong in the drawn set, which the other figures may miss.
"""

from torch import Tensor

from cgan_training.evaluation.classifier import label_accuracy, train_classifier

EPOCHS = 3  # on 60,000 images: real ones then give about 99.3 %


def classification_accuracy_score(
    drawn: tuple[Tensor, Tensor],
    real: tuple[Tensor, Tensor],
    *,
    classes: int,
    seed: int = 0,
    epochs: int = EPOCHS,
) -> float:
    """Return the share of real test images, 0 .. 1, that a classifier of drawn ones reads right.

    The classifier is the judge's network with the judge's augmentation, trained for fewer epochs.

    Args:
        drawn: uint8 [n, 1, height, width] and int64 [n]; as many as the real training set has.
        real: the test set, likewise.
        classes: number of labels.
        seed: of its weights and shuffling.
        epochs: passes over the drawn images.
    """
    classifier = train_classifier(*drawn, classes=classes, seed=seed, epochs=epochs)
    return label_accuracy(classifier, *real)
