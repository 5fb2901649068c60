"""Sample sheets and animations."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cgan_training.pictures.sample_sheet import (
    GAP,
    MARGIN,
    MAX_FRAMES,
    MAX_PIXELS,
    MAX_SIDE,
    SCALE,
    draw_animation,
    draw_sample_sheet,
)


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)))


def test_images_are_arranged_row_by_row() -> None:
    images = torch.arange(6, dtype=torch.uint8).mul(40).view(6, 1, 1, 1).expand(6, 1, 9, 12)
    page = pixels_of(draw_sample_sheet(images, ["a", "b", "c"], "a title"))
    assert page.shape == (2 * MARGIN + 2 * (9 * SCALE + GAP), 3 * (12 * SCALE + GAP) + GAP)
    for index in range(6):
        row, column = divmod(index, 3)
        top, left = MARGIN + row * (9 * SCALE + GAP), GAP + column * (12 * SCALE + GAP)
        cell = page[top : top + 9 * SCALE, left : left + 12 * SCALE]
        assert np.unique(cell).tolist() == [40 * index]


def test_color_images_keep_their_colors() -> None:
    colors = torch.tensor([[255, 0, 0], [0, 255, 0]], dtype=torch.uint8)
    page = pixels_of(draw_sample_sheet(colors.view(2, 3, 1, 1).expand(2, 3, 9, 12), ["a", "b"], ""))
    for column, color in enumerate(colors.tolist()):
        left = GAP + column * (12 * SCALE + GAP)
        cell = page[MARGIN : MARGIN + 9 * SCALE, left : left + 12 * SCALE]
        assert np.unique(cell.reshape(-1, 3), axis=0).tolist() == [color]


def test_long_column_names_are_truncated() -> None:
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    page = pixels_of(draw_sample_sheet(images, ["Ankle boot of leather", "W" * 40], ""))
    has_text = page[:MARGIN] < 200
    assert has_text.any()
    between = GAP // 2 + 28 * SCALE + GAP // 2
    assert not has_text[:, between : between + 2].any()


def test_an_animation_of_many_sheets_ends_with_the_last(tmp_path: Path) -> None:
    sheets = []
    for number in range(130):
        sheets.append(tmp_path / f"{number:03}.png")
        page = np.full((64, 64), 60, np.uint8)
        page[:, : number % 64] = 200  # a growing bar
        Image.fromarray(page).save(sheets[-1])
    with Image.open(BytesIO(draw_animation(sheets))) as animation:
        frames = getattr(animation, "n_frames", 1)
        assert 40 <= frames <= MAX_FRAMES + 1
        animation.seek(frames - 1)
        last = np.asarray(animation.convert("L")).astype(int)
    assert abs(last - page).mean() < 8


def test_a_frame_that_cannot_be_read_is_omitted(tmp_path: Path) -> None:
    sheets = [tmp_path / f"{number}.png" for number in range(4)]
    for number, size in enumerate([(64, 64), (48, 64), (64, 64)]):
        Image.new("L", size, 50 * number).save(sheets[number])
    sheets[3].write_bytes(sheets[0].read_bytes()[:60])  # and the last one is truncated
    sheets.insert(1, tmp_path / "missing.png")
    with Image.open(BytesIO(draw_animation(sheets))) as animation:
        assert (animation.size, getattr(animation, "n_frames", 1)) == ((64, 64), 3)
    with pytest.raises(ValueError, match="no sample sheet can be read"):
        draw_animation(sheets[1:2])


@pytest.mark.parametrize(
    ("columns", "rows", "height", "width"),
    [
        *((256, 10, 32, 32), (62, 10, 132, 132), (1, 10, 28, 28), (10, 10, 512, 512)),
        *((1100, 3, 8, 8), (1, 2000, 1, 1), (2, 3, 1, 20_000), (2, 3, 20_000, 1), (3, 0, 4, 4)),
    ],
)
def test_a_sheet_of_any_size_can_be_stored_and_read(
    columns: int, rows: int, height: int, width: int
) -> None:
    images = torch.zeros(columns * rows, 1, height, width, dtype=torch.uint8)
    names = [f"{label} \n a name \x1b {'W' * 500}" for label in range(columns)]
    page = pixels_of(draw_sample_sheet(images, names, "a title " * 100))
    assert page.size <= MAX_PIXELS * 1.2  # a narrow sheet is widened for its title
    assert max(page.shape) <= MAX_SIDE
    assert page.min() < 200  # it shows images or names


def test_pairs_of_columns_stay_in_one_line() -> None:
    images = torch.zeros(62, 1, 28, 28, dtype=torch.uint8)
    images[1::2] = 60
    page = pixels_of(draw_sample_sheet(images, [""] * 62, ""))
    lines = len(page) // (MARGIN + 28 * SCALE + GAP)
    assert lines > 2
    for line in range(lines):
        row = page[line * (MARGIN + 28 * SCALE + GAP) + MARGIN]
        assert np.count_nonzero(row == 0) == np.count_nonzero(row == 60) > 0
