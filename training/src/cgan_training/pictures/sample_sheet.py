"""Sample sheets: generated images in a labeled grid, and an animation of several sheets."""

import math
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cgan_runtime.errors import printable

SCALE = 2  # sheet pixels per image pixel, unless the sheet would be too large
GAP = 4  # sheet pixels between images
MARGIN = 28  # height of the column names above and of the title below, in sheet pixels
TITLE_WIDTH = 600  # a narrow sheet is widened for its title up to this width, in sheet pixels
MAX_ROWS, MAX_COLUMNS = 100, 1000  # largest numbers of rows and columns on a sheet
MAX_SIDE = 16_383  # largest width and height of a WebP picture (libwebp's WEBP_MAX_DIMENSION)
MAX_PIXELS, MAX_FRAME_PIXELS = 2**23, 2**21  # limits of a sheet and of a frame of the animation
# Largest number of frames before the last one, milliseconds of each of these, and of the last one.
MAX_FRAMES, FRAME_MS, LAST_FRAME_MS = 60, 150, 3000
BACKGROUND, TEXT = "#ffffff", "#282828"


def draw_sample_sheet(images: Tensor, column_names: Sequence[str], title: str) -> bytes:
    """Return a PNG that shows images in labeled columns, one column per class.

    Columns wrap onto several lines, so that the sheet is roughly square. Images are shrunk if the
    sheet would have more than MAX_PIXELS pixels.

    Args:
        images: uint8 [rows * columns, channels, height, width], row by row.
        column_names: texts above the columns; long names are truncated. The sheet shows the first
            MAX_COLUMNS columns.
        title: text below the images, truncated to the width of the sheet.
    """
    columns = min(len(column_names), MAX_COLUMNS)
    pixels = images.cpu().movedim(1, -1).squeeze(-1).numpy()  # gray [n, h, w] or RGB [n, h, w, 3]
    rows = min(len(pixels) // len(column_names), MAX_ROWS)
    if columns < len(column_names):
        title = f"{title}, the first {columns} of {len(column_names)} columns"
    font, title = ImageFont.load_default(14), printable(title)
    height, width = images.shape[2:]
    layout = _layout(columns, rows, height, width)
    is_shrunk = math.prod(layout.image) < height * width
    resampling = Image.Resampling.BOX if is_shrunk else Image.Resampling.NEAREST
    width = max(layout.page[0], min(math.ceil(font.getlength(title)) + 2 * GAP, TITLE_WIDTH))
    page = Image.new("L" if pixels.ndim == 3 else "RGB", (width, layout.page[1]), BACKGROUND)
    draw, left = ImageDraw.Draw(page), (width - layout.page[0]) // 2
    for column, name in enumerate(column_names[:columns]):
        x, y = layout.corner(0, column)
        center = left + x + (layout.width - GAP) // 2, y - MARGIN // 2
        draw.text(center, _truncate(name, font, layout.width), TEXT, font, anchor="mm")
        for row in range(rows):
            image = Image.fromarray(pixels[row * len(column_names) + column])
            x, y = layout.corner(row, column)
            page.paste(image.resize(layout.image, resampling), (left + x, y))
    text = _truncate(title, font, width)
    draw.text((width // 2, page.height - MARGIN // 2), text, TEXT, font, anchor="mm")
    buffer = BytesIO()
    # On a large sheet of noise, the best compression takes ten seconds.
    page.save(buffer, "PNG", optimize=math.prod(page.size) <= MAX_FRAME_PIXELS)
    return buffer.getvalue()


def draw_animation(sheets: Sequence[Path]) -> bytes:
    """Return a looping WebP that shows sample sheets one after the other, the last one longest.

    Args:
        sheets: PNG files in order. If there are more than MAX_FRAMES, only evenly spaced ones and
            the last one are shown. Files that cannot be read are omitted. All frames are scaled to
            the size of the last sheet, but to at most MAX_FRAME_PIXELS pixels.

    Raises:
        ValueError: no file can be read.
    """
    step = max(1, math.ceil(len(sheets) / MAX_FRAMES))
    frames = _read_frames([*sheets[:-1:step], *sheets[-1:]])
    if not frames:
        raise ValueError("no sample sheet can be read")
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]
    options = {"save_all": True, "append_images": frames[1:], "duration": durations}
    buffer = BytesIO()
    frames[0].save(buffer, "WEBP", **options, loop=0, quality=60, method=4)
    return buffer.getvalue()


class _Layout(NamedTuple):
    """The sizes of a sheet's parts, in sheet pixels."""

    image: tuple[int, int]  # width and height of an image
    columns: int  # number of columns in each line
    line: int  # height of a line, with its column names
    page: tuple[int, int]  # width and height of the sheet

    @property
    def width(self) -> int:
        """Width of a column, with its gap."""
        return self.image[0] + GAP

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Return x and y of an image's upper left corner."""
        line, column = divmod(column, self.columns)
        return GAP + column * self.width, line * self.line + MARGIN + row * (self.image[1] + GAP)


def _layout(columns: int, rows: int, height: int, width: int) -> _Layout:
    """Return the layout with the largest images that keeps to MAX_PIXELS and MAX_SIDE."""
    layout = _arrange(columns, rows, (width * SCALE, height * SCALE))
    divisor = 1
    while not _fits(layout.page) and layout.image != (1, 1):
        image = max(1, width // divisor), max(1, height // divisor)
        layout, divisor = _arrange(columns, rows, image), divisor + 1
    return layout


def _fits(page: tuple[int, int]) -> bool:
    return max(page) <= MAX_SIDE and math.prod(page) <= MAX_PIXELS


def _arrange(columns: int, rows: int, image: tuple[int, int]) -> _Layout:
    """Return the layout of a roughly square sheet for images of this width and height."""
    width, line = image[0] + GAP, MARGIN + rows * (image[1] + GAP)
    lines = max(1, round(math.sqrt(columns * width / line)))
    in_line = math.ceil(columns / lines)
    if columns % 2 == 0:  # cgan-eval shows pairs of columns: each pair stays on one line
        in_line += in_line % 2
    page = in_line * width + GAP, math.ceil(columns / in_line) * line + MARGIN
    return _Layout(image, in_line, line, page)


def _read_frames(sheets: Sequence[Path]) -> list[Image.Image]:
    """Return the sheets that can be read, in the size of the last one or smaller."""
    frames: list[Image.Image] = []
    size: tuple[int, int] | None = None
    for path in reversed(sheets):
        with suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            with Image.open(path) as page:
                frame = page.convert("RGB")
            if size is None:
                scale = min(1.0, math.sqrt(MAX_FRAME_PIXELS / (frame.width * frame.height)))
                scale = min(scale, MAX_SIDE / max(frame.size))
                size = max(1, int(frame.width * scale)), max(1, int(frame.height * scale))
            is_resized = frame.size != size
            frames.append(frame.resize(size, Image.Resampling.BOX) if is_resized else frame)
    return frames[::-1]


def _truncate(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Truncate a name to a width in pixels. If nothing fits, return an empty text."""
    name = printable(name)
    if len(name) <= width and font.getlength(name) <= width:
        return name
    name = name[:width]  # a longer text is wider, and slow to measure
    while name and font.getlength(name + "…") > width:
        name = name[:-1]
    return name + "…" if name else ""
