"""The built-in recipe that suits a dataset."""

import torch
from torch import Tensor

from cgan_training.data import Dataset

COMPONENTS = 256  # units of the last hidden layer of the recipe edge
IMAGES = 2000  # at most, evenly spaced, from which the lost detail is computed
GRAY = (32, 224)  # range of pixel values that are neither background nor saturated
MAX_LOST_DETAIL = 0.0075  # MNIST has 0.0040, Fashion-MNIST 0.0133, CIFAR-10 in gray 0.0187


def choose_recipe(dataset: Dataset) -> tuple[str, str]:
    """Return the name of the recipe for a dataset, and the reason in words."""
    if dataset.image_shape[0] > 1:
        return "edge-conv", "the images have colors"
    lost = lost_detail(dataset.images)
    share = f"{lost:.1%} of their variance is detail that a perceptron would lose"
    if lost > MAX_LOST_DETAIL:
        return "edge-texture", f"the images have texture: {share}"
    return "edge", f"the images have little texture: {share}"


def lost_detail(images: Tensor) -> float:
    """Return how much of the images' variance a perceptron like that of edge cannot generate, 0..1.

    Its last layer maps 256 numbers linearly to the pixels before tanh. So the detail that it loses
    is what remains of the images without their first 256 principal components. Only gray pixels
    count: errors at black and white pixels disappear in tanh.

    Args:
        images: uint8 [n, channels, height, width].
    """
    chosen = images[:: -(-len(images) // IMAGES)].flatten(1).float()  # [m, pixels]
    centered = chosen - chosen.mean(0)
    values, vectors = torch.linalg.eigh((centered @ centered.T).double())  # [m], [m, m]
    rest = vectors[:, :-COMPONENTS].float()
    detail = rest @ (rest.T @ centered)  # [m, pixels]
    is_gray = (chosen >= GRAY[0]) & (chosen < GRAY[1])
    variance = values.clamp(min=0).sum().item()
    return (detail * is_gray).square().sum().item() / variance if variance else 0.0
