"""The titles and formats of the metrics of image quality."""

from typing import NamedTuple


class Metric(NamedTuple):
    """How a metric is shown."""

    title: str
    better: str  # "+" if higher is better, "-" if lower is better, "" if neither
    format: str  # format specification


METRICS = {  # the metrics by key, in the order of the tables
    "label_accuracy": Metric("label accuracy", "+", ".2%"),
    "worst_label_accuracy": Metric("label accuracy of the worst label", "+", ".2%"),
    "frechet": Metric("Fréchet distance to the test set", "-", ".3f"),
    "frechet_by_class": Metric("Fréchet distance by class", "-", ".3f"),
    "frechet_train": Metric("Fréchet distance to the training set", "-", ".3f"),
    "precision": Metric("precision", "+", ".3f"),
    "recall": Metric("recall", "+", ".3f"),
    "density": Metric("density", "+", ".3f"),
    "coverage": Metric("coverage", "+", ".3f"),
    "high_frequency_ratio": Metric("high-frequency power relative to real images", "", ".2f"),
    "memorized": Metric("memorized", "-", ".2%"),
    "cas": Metric("classification accuracy score", "+", ".2%"),
    "classifier_accuracy": Metric("accuracy of the evaluation classifier", "+", ".2%"),
}
