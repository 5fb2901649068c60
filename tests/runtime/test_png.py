"""PNG files."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cgan_runtime.images.png import encode_png


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 9], list(range(1, 10))], ids=len)
def test_png_contains_the_pixels_and_the_text(cuts: list[int], channels: int, mode: str) -> None:
    page = np.random.default_rng(0).integers(0, 256, (10, 6, channels), np.uint8)
    text = {"Software": "cgan 1", "cgan:label": "Ankle boot,お茶"}
    png, again = (b"".join(encode_png(np.split(page, cuts), page.shape, text)) for _ in range(2))
    with Image.open(BytesIO(png)) as picture:
        assert (picture.format, picture.mode) == ("PNG", mode)
        np.testing.assert_array_equal(np.asarray(picture).reshape(page.shape), page)
        assert picture.info == text
    assert png == again
