"""The names of the quality figures."""

from typing import NamedTuple


class Figure(NamedTuple):
    """How a figure is shown."""

    title: str
    better: str  # "+" if higher is better, "-" if lower is better, "" if neither
    form: str  # format specification


FIGURES = {  # by key, in the order of tables
    "label_accuracy": Figure("label accuracy", "+", ".2%"),
    "worst_label_accuracy": Figure("label accuracy of the worst label", "+", ".2%"),
    "frechet": Figure("Fréchet distance to the test set", "-", ".3f"),
    "frechet_by_class": Figure("Fréchet distance by class", "-", ".3f"),
    "frechet_train": Figure("Fréchet distance to the training set", "-", ".3f"),
    "precision": Figure("precision", "+", ".3f"),
    "recall": Figure("recall", "+", ".3f"),
    "density": Figure("density", "+", ".3f"),
    "coverage": Figure("coverage", "+", ".3f"),
    "high_frequency_ratio": Figure("high-frequency power relative to real images", "", ".2f"),
    "memorized": Figure("memorized", "-", ".2%"),
    "cas": Figure("classification accuracy score", "+", ".2%"),
    "classifier_accuracy": Figure("accuracy of the evaluation classifier", "+", ".2%"),
}
