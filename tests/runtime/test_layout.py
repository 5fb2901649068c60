import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cgan_runtime.images.layout import grid, to_block_characters

Images = NDArray[np.uint8]


@pytest.fixture
def images() -> Images:
    """Five images of 3 x 2 pixels, which are all different."""
    return np.arange(1, 31, dtype=np.uint8).reshape(5, 1, 3, 2)


def image(*rows: str) -> Images:
    """Return one image in which # is foreground."""
    return np.array([[[[255 * (each == "#") for each in row] for row in rows]]], np.uint8)


def test_grid_is_filled_row_by_row(images: Images) -> None:
    assert grid(images, 2).tolist() == [
        [1, 2, 7, 8],
        [3, 4, 9, 10],
        [5, 6, 11, 12],
        [13, 14, 19, 20],
        [15, 16, 21, 22],
        [17, 18, 23, 24],
        [25, 26, 0, 0],
        [27, 28, 0, 0],
        [29, 30, 0, 0],
    ]


@given(
    count=st.integers(1, 12),
    columns=st.integers(1, 14),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
)
@settings(deadline=None, max_examples=60)
def test_every_image_has_its_cell(count: int, columns: int, height: int, width: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 1, height, width), np.uint8)
    page = grid(images, columns)
    assert page.shape == (-(-count // columns) * height, columns * width)
    for index in range(count):
        top, left = index // columns * height, index % columns * width
        np.testing.assert_array_equal(
            page[top : top + height, left : left + width], images[index, 0]
        )
    assert int(page.sum()) == int(images.sum())  # the other cells are empty


def test_scaled_grid_repeats_each_pixel(images: Images) -> None:
    page = grid(images, 2, scale=3)
    np.testing.assert_array_equal(page, np.kron(grid(images, 2), np.ones((3, 3), np.uint8)))


@pytest.mark.parametrize(
    ("rows", "blocks", "ascii_text"),
    [
        (["#.#.", "##..", ".#.#", "##.#"], "█▄▀\n▄█ █", ":.'\n.: :"),
        (["##", "#.", "##"], "█▀\n▀▀", ":'\n''"),  # an odd height
        ([".", ".", "#", ".", ".", ".", "#", ".", "."], "▀\n\n▀", "'\n\n'"),
        (["...."] * 5, "", ""),
    ],
    ids=["even height", "odd height", "empty lines", "empty image"],
)
def test_images_become_block_characters(rows: list[str], blocks: str, ascii_text: str) -> None:
    assert to_block_characters(image(*rows), 1) == blocks
    assert to_block_characters(image(*rows), 1, ascii_only=True) == ascii_text


def test_several_images_share_a_row_of_blocks() -> None:
    images = np.concatenate([image("#.", "#."), image("..", "##"), image("##", "..")])
    assert to_block_characters(images, 3) == "█ ▄▄▀▀"
    assert to_block_characters(images, 2) == "█ ▄▄\n▀▀"


def test_foreground_starts_at_128() -> None:
    pixels = np.array([[[[127, 128, 0, 255], [0, 0, 0, 0]]]], np.uint8)
    assert to_block_characters(pixels, 1) == " ▀ ▀"
