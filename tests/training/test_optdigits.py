import torch

from cgan_training.data import Dataset, optdigits


def test_digits_stand_in_mnists_frame(digits: Dataset) -> None:
    assert digits.images.shape == (1500, 1, 28, 28)
    assert digits.images.dtype == torch.uint8
    margin = digits.images.clone()
    margin[:, :, 4:24, 4:24] = 0
    assert not margin.any()
    assert digits.images.amax(dim=(1, 2, 3)).min() > 200


def test_every_digit_is_there(digits: Dataset) -> None:
    counts = torch.bincount(digits.labels)
    assert len(counts) == digits.classes == 10
    assert counts.min() > 100


def test_the_two_parts_hold_all_and_share_none(digits: Dataset) -> None:
    held_out = optdigits.load(train=False)
    assert len(digits.labels) + len(held_out.labels) == 1797
    seen = {image.numpy().tobytes() for image in digits.images}
    assert not any(image.numpy().tobytes() in seen for image in held_out.images)
