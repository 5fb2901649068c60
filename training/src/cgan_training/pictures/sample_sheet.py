"""Sample sheets: generated images as a labelled picture."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
SCALE = 2  # screen pixels an image pixel
GAP = 4  # screen pixels between images
HEADER = 28  # screen pixels above the columns, for their names
MOST_FRAMES, FRAME_MS, LAST_FRAME_MS = 60, 150, 3000  # of the animation
PAPER, INK = 255, 40  # greys of the sheet and of its writing


def sheet(images: Tensor, column_names: Sequence[str], title: str) -> bytes:
    """Lay images out in columns of one label each.

    Args:
        images: uint8 [rows * columns, 1, height, width], row by row.
        column_names: one a column, written above it.
        title: a line below the images.

    Returns:
        The bytes of a PNG.
    """
    pixels = images.cpu().numpy()[:, 0]  # [n, h, w]
    columns = len(column_names)
    rows = len(pixels) // columns
    height, width = (size * SCALE + GAP for size in pixels.shape[1:])
    page = Image.new("L", (columns * width + GAP, HEADER + rows * height + HEADER), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for column, name in enumerate(column_names):
        middle = column * width + (width + GAP) // 2
        draw.text((middle, HEADER // 2), _fitted(name, font, width), INK, font, anchor="mm")
    for index, image in enumerate(np.repeat(np.repeat(pixels, SCALE, 1), SCALE, 2)):
        row, column = divmod(index, columns)
        page.paste(Image.fromarray(image), (GAP + column * width, HEADER + row * height))
    draw.text((page.width // 2, page.height - HEADER // 2), title, INK, font, anchor="mm")
    buffer = BytesIO()
    page.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def animation(sheets: Sequence[Path]) -> bytes:
    """Show sample sheets one after the other, the last one longest.

    Args:
        sheets: PNGs of one size, in order; of many, an even choice is shown.

    Returns:
        The bytes of an animated WebP that repeats for ever.
    """
    step = max(1, -(-len(sheets) // MOST_FRAMES))
    chosen = [*sheets[: len(sheets) - 1 : step], sheets[-1]]
    frames = []
    for path in chosen:
        with Image.open(path) as page:
            frames.append(page.convert("L"))
    buffer = BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=[FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS],
        loop=0,
        quality=60,
        method=4,
    )
    return buffer.getvalue()


def _fitted(name: str, font: Font, width: int) -> str:
    """Cut a name to what a column of so many pixels holds."""
    if font.getlength(name) <= width:
        return name
    while name and font.getlength(name + "…") > width:
        name = name[:-1]
    return name + "…"
