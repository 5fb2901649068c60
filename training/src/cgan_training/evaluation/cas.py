"""The classification accuracy score: how well generated images replace real training images.

A classifier is trained on generated images and their labels, and tested on real ones (Ravuri &
Vinyals 2019, section 3). The score also drops when the generated images lack variety, which the
other figures may miss.
"""

from torch import Tensor

from cgan_training.evaluation.classifier import label_accuracy, train_classifier

EPOCHS = 3  # with the 60,000 real images of MNIST the score is then about 99.3 %


def classification_accuracy_score(
    generated: tuple[Tensor, Tensor],
    real: tuple[Tensor, Tensor],
    *,
    classes: int,
    seed: int = 0,
    epochs: int = EPOCHS,
) -> float:
    """Return the accuracy on real test images, 0 to 1, of a classifier of generated images.

    It has the network and the augmentation of the evaluation classifier, with fewer epochs.

    Args:
        generated: uint8 [n, 1, height, width] and int64 [n]; n should be that of the training set.
        real: the test set, with the same types.
        classes: number of labels.
        seed: random seed of its weights and shuffling.
        epochs: passes over the generated images.
    """
    classifier = train_classifier(*generated, classes=classes, seed=seed, epochs=epochs)
    return label_accuracy(classifier, *real)
