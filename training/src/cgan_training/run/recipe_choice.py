"""The built-in recipe that suits a dataset."""

from cgan_training.data.fingerprint import Fingerprint

MAX_LOST_DETAIL = 0.0075  # between MNIST, 0.0040, and Fashion-MNIST, 0.0133


def choose_recipe(figures: Fingerprint) -> tuple[str, str]:
    """Return the name of the recipe for a dataset, and the reason in words."""
    if figures.image_shape[0] > 1:
        return "edge-conv", "the images have colors"
    share = f"{figures.lost_detail:.1%} of their variance is detail that a perceptron would lose"
    if figures.lost_detail > MAX_LOST_DETAIL:
        return "edge-texture", f"the images have texture: {share}"
    return "edge", f"the images have little texture: {share}"
