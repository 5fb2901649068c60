"""Sample sheets: generated images as a labelled picture."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SCALE = 2  # screen pixels an image pixel
GAP = 4  # screen pixels between images
HEADER = 28  # screen pixels above the columns, for their names
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
        draw.text((middle, HEADER // 2), name, INK, font, anchor="mm")
    for index, image in enumerate(np.repeat(np.repeat(pixels, SCALE, 1), SCALE, 2)):
        row, column = divmod(index, columns)
        page.paste(Image.fromarray(image), (GAP + column * width, HEADER + row * height))
    draw.text((page.width // 2, page.height - HEADER // 2), title, INK, font, anchor="mm")
    buffer = BytesIO()
    page.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
