"""Grids of images, and their preview on a terminal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cgan_runtime.images.layout import grid, shrink, to_block_characters, to_color_blocks

Images = NDArray[np.uint8]


@pytest.fixture
def images() -> Images:
    """Five images of 3 x 2 pixels, which are all different."""
    return np.arange(1, 31, dtype=np.uint8).reshape(5, 1, 3, 2)


def image(*rows: str) -> Images:
    """Return one image in which # is foreground."""
    return np.array([[[[255 * (each == "#") for each in row] for row in rows]]], np.uint8)


def test_grid_is_filled_row_by_row(images: Images) -> None:
    assert grid(images, 2)[..., 0].tolist() == [
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
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
)
@settings(deadline=None, max_examples=60)
def test_every_image_has_its_cell(
    count: int, columns: int, channels: int, height: int, width: int
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, channels, height, width), np.uint8)
    page = grid(images, columns)
    assert page.shape == (-(-count // columns) * height, columns * width, channels)
    for index in range(count):
        top, left = index // columns * height, index % columns * width
        np.testing.assert_array_equal(
            page[top : top + height, left : left + width], images[index].transpose(1, 2, 0)
        )
    assert int(page.sum()) == int(images.sum())  # the other cells are empty


def test_scaled_grid_repeats_each_pixel(images: Images) -> None:
    page = grid(images, 2, scale=3)
    np.testing.assert_array_equal(page, np.kron(grid(images, 2), np.ones((3, 3, 1), np.uint8)))


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


def test_shrunken_images_have_the_mean_of_each_square() -> None:
    images = np.array([[[[0, 8, 40], [2, 2, 44], [10, 20, 90]]]], np.uint8)
    assert shrink(images, 1).tolist() == images.tolist()
    assert shrink(images, 2).tolist() == [[[[3, 42], [15, 90]]]]
    color = np.concatenate([images, images + 1, images + 2], axis=1)
    assert shrink(color, 2)[0, :, 0, 1].tolist() == [42, 43, 44]


def test_a_block_shows_two_pixels_one_above_the_other() -> None:
    pixels = np.array([[[1, 2], [3, 3]], [[4, 5], [6, 6]], [[7, 8], [9, 9]]], np.uint8)
    assert to_color_blocks(pixels[None], 1) == (
        "\x1b[38;2;1;4;7;48;2;3;6;9m▀\x1b[38;2;2;5;8;48;2;3;6;9m▀\x1b[0m"
    )


def test_gray_blocks_and_an_odd_height_are_completed() -> None:
    pixels = np.array([[[[5, 5, 5]], [[9, 9, 9]]], [[[6, 6, 6]], [[7, 7, 7]]]], np.uint8)
    gray = pixels[:, :1]
    assert to_color_blocks(gray, 2) == (
        "\x1b[38;2;5;5;5;48;2;0;0;0m▀▀▀\x1b[38;2;6;6;6;48;2;0;0;0m▀▀▀\x1b[0m"
    )


def test_block_characters_of_color_images_show_the_mean_of_the_channels() -> None:
    pixels = np.array([[[[255, 200]], [[127, 100]], [[0, 90]]]], np.uint8)  # means 127.3 and 130
    assert to_block_characters(pixels, 1) == " ▀"
