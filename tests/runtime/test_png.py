from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cgan_runtime.images.png import encode_png

PAGE = np.arange(60, dtype=np.uint8).reshape(10, 6) * 4


def decoded(png: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(png)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        return np.asarray(picture)


@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 9], list(range(1, 10))], ids=len)
def test_a_png_holds_the_pixels_however_they_come(cuts: list[int]) -> None:
    png = b"".join(encode_png(np.split(PAGE, cuts), 10, 6, {}))
    np.testing.assert_array_equal(decoded(png), PAGE)


def test_a_png_holds_its_text() -> None:
    text = {"Software": "cgan 1", "cgan:label": "Ankle boot,お茶"}
    with Image.open(BytesIO(b"".join(encode_png([PAGE], 10, 6, text)))) as picture:
        picture.load()
        assert picture.info == text


def test_the_same_pixels_make_the_same_bytes() -> None:
    first, again = (b"".join(encode_png([PAGE.copy()], 10, 6, {"a": "b"})) for _ in range(2))
    assert first == again
