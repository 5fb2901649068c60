from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cgan_training.pictures.sample_sheet import (
    GAP,
    MARGIN,
    MAX_FRAMES,
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
