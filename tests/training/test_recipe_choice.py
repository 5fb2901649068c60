from dataclasses import replace

import torch

from cgan_training.cli.recipe_choice import choose_recipe
from cgan_training.data import Dataset
from cgan_training.data.fingerprint import fingerprint


def test_digits_get_linear_layers_and_photos_convolutions(digits: Dataset) -> None:
    name, reason = choose_recipe(fingerprint(digits))
    assert (name, reason[:5]) == ("edge", "only ")
    noise = torch.randint(256, (500, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    photos = torch.nn.functional.interpolate(noise.float(), (32, 32), mode="bicubic")
    images = photos.clamp(0, 255).round().byte()
    name, reason = choose_recipe(
        fingerprint(replace(digits, images=images, labels=digits.labels[:500]))
    )
    assert name == "edge-conv"
    assert "of the pixels differ from a neighbor" in reason
