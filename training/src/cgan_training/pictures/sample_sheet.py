"""Sample sheets: generated images in a labeled grid, and an animation of several sheets."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SCALE = 2  # sheet pixels per image pixel
GAP = 4  # sheet pixels between images
MARGIN = 28  # height in sheet pixels of the column names above and the title below
MAX_FRAMES, FRAME_MS, LAST_FRAME_MS = 60, 150, 3000  # of the animation
BACKGROUND, TEXT = 255, 40  # gray values


def draw_sample_sheet(images: Tensor, column_names: Sequence[str], title: str) -> bytes:
    """Return a PNG that shows images in labeled columns, one column per class.

    Args:
        images: uint8 [rows * columns, 1, height, width], row by row.
        column_names: printed above the columns; long names are truncated.
        title: printed below the images.
    """
    pixels = images.cpu().numpy()[:, 0]  # [n, h, w]
    columns = len(column_names)
    rows = len(pixels) // columns
    height, width = (size * SCALE + GAP for size in pixels.shape[1:])
    page = Image.new("L", (columns * width + GAP, MARGIN + rows * height + MARGIN), BACKGROUND)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for column, name in enumerate(column_names):
        center = column * width + (width + GAP) // 2
        draw.text((center, MARGIN // 2), _truncate(name, font, width), TEXT, font, anchor="mm")
    for index, image in enumerate(np.repeat(np.repeat(pixels, SCALE, 1), SCALE, 2)):
        row, column = divmod(index, columns)
        page.paste(Image.fromarray(image), (GAP + column * width, MARGIN + row * height))
    draw.text((page.width // 2, page.height - MARGIN // 2), title, TEXT, font, anchor="mm")
    buffer = BytesIO()
    page.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def draw_animation(sheets: Sequence[Path]) -> bytes:
    """Return a looping WebP that shows sample sheets one after the other, the last one longest.

    Args:
        sheets: PNG files of the same size, in order; evenly spaced ones are shown if there are
            more than MAX_FRAMES.
    """
    step = max(1, -(-len(sheets) // MAX_FRAMES))
    frames = []
    for path in [*sheets[: len(sheets) - 1 : step], sheets[-1]]:
        with Image.open(path) as page:
            frames.append(page.convert("L"))
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]
    options = {"save_all": True, "append_images": frames[1:], "duration": durations}
    buffer = BytesIO()
    frames[0].save(buffer, "WEBP", **options, loop=0, quality=60, method=4)
    return buffer.getvalue()


def _truncate(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Truncate a name to a width in pixels."""
    if font.getlength(name) <= width:
        return name
    while name and font.getlength(name + "…") > width:
        name = name[:-1]
    return name + "…"
