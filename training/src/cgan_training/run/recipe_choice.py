"""The built-in recipe that suits a dataset."""

from cgan_training.data.fingerprint import Fingerprint
from cgan_training.engine.augmentation import SMALL_DATASET

MAX_LOST_DETAIL = 0.013  # between MNIST, 0.0070, and Fashion-MNIST, 0.0241
# Of few images, from which a perceptron learns less: between scikit-learn's digits, 0.00005, and
# 1,080 glyphs, 0.0012.
MAX_LOST_DETAIL_OF_FEW = 0.0003


def choose_recipe(figures: Fingerprint) -> tuple[str, str]:
    """Return the name of the recipe for a dataset, and the reason in words."""
    if figures.image_shape[0] > 1:
        return "edge-conv", "the images have colors"
    share = f"{figures.lost_detail:.2%} of their variance is detail that a perceptron would lose"
    if figures.lost_detail > MAX_LOST_DETAIL:
        return "edge-texture", f"the images have texture: {share}"
    if figures.images < SMALL_DATASET and figures.lost_detail > MAX_LOST_DETAIL_OF_FEW:
        return "edge-texture", f"there are fewer than {SMALL_DATASET:,} images, and {share}"
    return "edge", f"the images have little texture: {share}"
