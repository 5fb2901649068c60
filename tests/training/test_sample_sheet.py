from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cgan_training.pictures.sample_sheet import GAP, HEADER, MOST_FRAMES, SCALE, animation, sheet


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)))


def test_images_stand_row_by_row_under_their_names() -> None:
    images = torch.arange(6, dtype=torch.uint8).mul(40).view(6, 1, 1, 1).expand(6, 1, 9, 12)
    page = pixels(sheet(images, ["a", "b", "c"], "a title"))
    assert page.shape == (2 * HEADER + 2 * (9 * SCALE + GAP), 3 * (12 * SCALE + GAP) + GAP)
    for index in range(6):
        row, column = divmod(index, 3)
        top, left = HEADER + row * (9 * SCALE + GAP), GAP + column * (12 * SCALE + GAP)
        cell = page[top : top + 9 * SCALE, left : left + 12 * SCALE]
        assert np.unique(cell).tolist() == [40 * index]


def test_long_names_are_cut_and_do_not_meet() -> None:
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    page = pixels(sheet(images, ["Ankle boot of leather", "W" * 40], ""))
    header = page[:HEADER] < 200
    assert header.any()
    between = GAP // 2 + 28 * SCALE + GAP // 2
    assert not header[:, between : between + 2].any()


def test_an_animation_of_many_sheets_ends_with_the_last(tmp_path: Path) -> None:
    sheets = []
    for number in range(130):
        sheets.append(tmp_path / f"{number:03}.png")
        grey = np.full((64, 64), 60, np.uint8)
        grey[:, : number % 64] = 200  # a bar that grows, twice
        Image.fromarray(grey).save(sheets[-1])
    with Image.open(BytesIO(animation(sheets))) as film:
        frames = getattr(film, "n_frames", 1)
        assert 40 <= frames <= MOST_FRAMES + 1
        film.seek(frames - 1)
        last = np.asarray(film.convert("L")).astype(int)
    assert abs(last - grey).mean() < 8
