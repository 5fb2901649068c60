"""The built-in recipe that suits a dataset."""

from cgan_training.data.fingerprint import Fingerprint
from cgan_training.engine.augmentation import SMALL_DATASET

MAX_LOST_DETAIL = 0.013  # lies between MNIST (0.0070) and Fashion-MNIST (0.0241)
# The limit is lower for small datasets, because a perceptron trained on few images generates worse
# strokes. It lies between scikit-learn's digits (0.00005) and 1,080 glyphs
# (0.0012; docs/design/0019).
MAX_LOST_DETAIL_SMALL_DATASET = 0.0003


def choose_recipe(fingerprint: Fingerprint) -> tuple[str, str]:
    """Return the name of the recipe for a dataset, and a text that states the reason."""
    detail, images = fingerprint.lost_detail, fingerprint.images
    if fingerprint.image_shape[0] > 1:
        return "edge-conv", "the images have colors"
    share = f"{detail:.2%} of their variance is detail that a perceptron would lose"
    if detail > MAX_LOST_DETAIL:
        return "edge-texture", f"the images have texture: {share}"
    if images < SMALL_DATASET and detail > MAX_LOST_DETAIL_SMALL_DATASET:
        return "edge-texture", f"there are fewer than {SMALL_DATASET:,} images, and {share}"
    return "edge", f"the images have little texture: {share}"
