from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cgan_runtime.images.png import encode_png

PAGE = np.arange(60, dtype=np.uint8).reshape(10, 6) * 4


@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 9], list(range(1, 10))], ids=len)
def test_png_contains_the_pixels_and_the_text(cuts: list[int]) -> None:
    text = {"Software": "cgan 1", "cgan:label": "Ankle boot,お茶"}
    png, again = (b"".join(encode_png(np.split(PAGE, cuts), 10, 6, text)) for _ in range(2))
    with Image.open(BytesIO(png)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        np.testing.assert_array_equal(np.asarray(picture), PAGE)
        assert picture.info == text
    assert png == again
