"""Sets whose worth is known beforehand: what keeps the measure honest."""

from collections.abc import Callable

import torch
from torch import Tensor

Draw = Callable[[Tensor], Tensor]  # labels int64 [n] -> images uint8 [n, 1, height, width]
SHIFTED = "the model, labels shifted by one"
CONTROLS = (
    "real training images",
    "real images with noise",
    "one image a class, repeated",
    SHIFTED,
)
NOISE = 25.5  # standard deviation of the noisy control, in grey levels: a tenth of the range


def controls(train: tuple[Tensor, Tensor], classes: int, draw: Draw) -> dict[str, Draw]:
    """Return, by their names in CONTROLS, generators that stand for a fault, or for none.

    Args:
        train: the training set, uint8 [n, 1, height, width] and int64 [n].
        classes: number of labels.
        draw: the generator that is measured.
    """
    images, labels = train
    of_label = [(labels == label).nonzero().squeeze(1) for label in range(classes)]

    def real(wanted: Tensor) -> Tensor:
        """Training images of these labels in random order, none twice before all came once."""
        random = torch.Generator().manual_seed(0)
        chosen = torch.empty_like(wanted)
        for label in wanted.unique().tolist():
            mine, own = wanted == label, of_label[label]
            order = own[torch.randperm(len(own), generator=random)]
            chosen[mine] = order[torch.arange(int(mine.sum())) % len(own)]
        return images[chosen]

    def noisy(wanted: Tensor) -> Tensor:
        """Training images with noise over them."""
        random = torch.Generator().manual_seed(1)
        clean = real(wanted).float()
        noise = torch.randn(clean.shape, generator=random) * NOISE
        return (clean + noise).round().clamp(0, 255).to(torch.uint8)

    def repeated(wanted: Tensor) -> Tensor:
        """One training image a class, again and again."""
        return images[torch.stack([each[0] for each in of_label])[wanted]]

    def wrong_labels(wanted: Tensor) -> Tensor:
        """Draw the next label instead of the one asked for."""
        return draw((wanted + 1) % classes)

    return dict(zip(CONTROLS, (real, noisy, repeated, wrong_labels), strict=True))
