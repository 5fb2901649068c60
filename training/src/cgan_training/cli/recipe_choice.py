"""The choice of a recipe for a dataset: cgan-train --recipe auto."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgan_training.data.fingerprint import Fingerprint

AUTO = "auto"
# Perceptrons learn each pixel for itself, so they draw flat areas well and texture badly.
# Fashion-MNIST has a texture of 0.55, and CIFAR-10 has 0.91.
MIN_TEXTURE = 0.7


def choose_recipe(figures: "Fingerprint") -> tuple[str, str]:
    """Return the name of the recipe for a dataset, and the reason."""
    share = f"{figures.texture:.0%} of the pixels differ from a neighbor"
    if figures.texture >= MIN_TEXTURE:
        return "edge-conv", f"{share}, as in photos, which need convolutions"
    return "edge", f"only {share}, so that linear layers suffice, which are faster"
