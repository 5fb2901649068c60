"""Control generators, most with a known fault, to check how the quality metrics rank them."""

from collections.abc import Callable

import torch
from torch import Tensor

from cgan_training.data import Dataset

GenerateImages = Callable[[Tensor], Tensor]  # labels [n] -> uint8 [n, channels, height, width]
REAL, NOISY, REPEATED, SHIFTED = CONTROLS = (
    "real training images",
    "real images with noise",
    "one image per class, repeated",
    "the model, labels shifted by one",
)
NOISE_STD = 25.5  # standard deviation, for pixel values 0..255


def make_controls(train: Dataset, generate: GenerateImages) -> dict[str, GenerateImages]:
    """Return the control generators by their names in CONTROLS.

    Args:
        train: the training set.
        generate: the generator under evaluation.
    """
    images, classes = train.images, train.classes
    indices = [(train.labels == label).nonzero().squeeze(1) for label in range(classes)]

    def real(requested: Tensor) -> Tensor:
        """Return shuffled training images. A class's images repeat after all of them were used."""
        rng = torch.Generator().manual_seed(0)
        chosen = torch.empty_like(requested)
        for label in requested.unique().tolist():
            positions, of_label = requested == label, indices[label]
            order = of_label[torch.randperm(len(of_label), generator=rng)]
            chosen[positions] = order[torch.arange(int(positions.sum())) % len(order)]
        return images[chosen]

    def noisy(requested: Tensor) -> Tensor:
        clean = real(requested).float()
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)) * NOISE_STD
        return (clean + noise).round().clamp(0, 255).to(torch.uint8)

    def repeated(requested: Tensor) -> Tensor:
        chosen = torch.empty_like(requested)
        for label in requested.unique().tolist():
            chosen[requested == label] = indices[label][0]
        return images[chosen]

    def shifted(requested: Tensor) -> Tensor:
        return generate((requested + 1) % classes)

    return {REAL: real, NOISY: noisy, REPEATED: repeated, SHIFTED: shifted}
