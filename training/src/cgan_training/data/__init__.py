"""Data sets of labelled grey images, each held as one tensor."""

from cgan_training.data.dataset import DATASETS, Dataset, load_dataset, names_folder

__all__ = ["DATASETS", "Dataset", "load_dataset", "names_folder"]
