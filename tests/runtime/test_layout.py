import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cgan_runtime.images.layout import grid, to_block_characters

Images = NDArray[np.uint8]


@pytest.fixture
def images() -> Images:
    """Five images of 3 x 2 whose every pixel differs."""
    return np.arange(1, 31, dtype=np.uint8).reshape(5, 1, 3, 2)


def drawn(*rows: str) -> Images:
    """Return one image whose # is ink."""
    return np.array([[[[255 * (each == "#") for each in row] for row in rows]]], np.uint8)


def test_a_grid_goes_row_by_row(images: Images) -> None:
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


def test_a_grid_of_one_row_or_one_column(images: Images) -> None:
    np.testing.assert_array_equal(grid(images, 5), np.concatenate(images[:, 0], axis=1))
    np.testing.assert_array_equal(grid(images, 1), np.concatenate(images[:, 0], axis=0))


def test_a_grid_wider_than_the_images_is_filled_up(images: Images) -> None:
    page = grid(images, 7)
    assert page.shape == (3, 14)
    assert not page[:, 10:].any()
    assert page[:, :10].all()


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
    for index in range(count):
        top, left = index // columns * height, index % columns * width
        np.testing.assert_array_equal(
            page[top : top + height, left : left + width], images[index, 0]
        )
    assert int(page.sum()) == int(images.sum())


def test_a_scaled_grid_repeats_each_pixel(images: Images) -> None:
    page = grid(images, 2, scale=3)
    np.testing.assert_array_equal(page, np.kron(grid(images, 2), np.ones((3, 3), np.uint8)))


def test_blocks_show_two_rows_a_line() -> None:
    image = drawn("#.#.", "##..", ".#.#", "##.#")
    assert to_block_characters(image, 1) == "█▄▀\n▄█ █"
    assert to_block_characters(image, 1, ascii_only=True) == ":.'\n.: :"


def test_blocks_of_an_odd_height_end_in_background() -> None:
    image = drawn("##", "#.", "##")
    assert to_block_characters(image, 1) == "█▀\n▀▀"
    assert to_block_characters(image, 1, ascii_only=True) == ":'\n''"


def test_blocks_stand_side_by_side() -> None:
    images = np.concatenate([drawn("#.", "#."), drawn("..", "##"), drawn("##", "..")])
    assert to_block_characters(images, 3) == "█ ▄▄▀▀"
    assert to_block_characters(images, 2) == "█ ▄▄\n▀▀"


def test_a_blank_image_shows_nothing() -> None:
    blank = np.zeros((2, 1, 5, 4), np.uint8)
    assert to_block_characters(blank, 2) == ""
    assert to_block_characters(blank, 1, ascii_only=True) == ""


def test_blank_edges_are_left_out_and_gaps_kept() -> None:
    image = drawn("..", "..", "#.", "..", "..", "..", ".#", "..", "..", "..")
    assert to_block_characters(image, 1) == "▀\n\n ▀"


def test_ink_begins_in_the_middle_of_the_greys() -> None:
    image = np.array([[[[127, 128, 0, 255], [0, 0, 0, 0]]]], np.uint8)
    assert to_block_characters(image, 1) == " ▀ ▀"
    assert to_block_characters(image, 1, ascii_only=True).isascii()
