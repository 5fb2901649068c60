"""Datasets of labeled gray images, each held in memory as one tensor."""

from cgan_training.data.dataset import Dataset
from cgan_training.data.sources import DATASETS, is_dataset_folder, load_dataset

__all__ = ["DATASETS", "Dataset", "is_dataset_folder", "load_dataset"]
