"""Sample sheets: generated images in a labeled grid, and an animation of several sheets."""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cgan_runtime.errors import printable

SCALE = 2  # sheet pixels per image pixel, unless the sheet would be too large
GAP = 4  # sheet pixels between images
MARGIN = 28  # height in sheet pixels of the column names above and the title below
TITLE_WIDTH = 600  # sheet pixels; a narrow sheet is widened for its title up to this width
MAX_ROWS, MAX_COLUMNS = 100, 1000  # shown on a sheet
MAX_SIDE = 16_383  # pixels of a WebP picture (libwebp's WEBP_MAX_DIMENSION)
MAX_PIXELS, MAX_FRAME_PIXELS = 2**23, 2**21  # of a sheet, and of a frame of the animation
MAX_FRAMES, FRAME_MS, LAST_FRAME_MS = 60, 150, 3000  # of the animation
BACKGROUND, TEXT = "#ffffff", "#282828"


def draw_sample_sheet(images: Tensor, column_names: Sequence[str], title: str) -> bytes:
    """Return a PNG that shows images in labeled columns, one column per class.

    Many columns continue in further lines, so that the sheet is about as wide as high. Images are
    shrunk if the sheet would have more than MAX_PIXELS pixels.

    Args:
        images: uint8 [rows * columns, channels, height, width], row by row.
        column_names: printed above the columns; long names are truncated. The sheet shows the first
            MAX_COLUMNS columns.
        title: printed below the images, and truncated to the width of the sheet.
    """
    columns = min(len(column_names), MAX_COLUMNS)
    pixels = images.cpu().movedim(1, -1).squeeze(-1).numpy()  # gray [n, h, w] or RGB [n, h, w, 3]
    rows = min(len(pixels) // len(column_names), MAX_ROWS)
    if columns < len(column_names):
        title = f"{title}, the first {columns} of {len(column_names)} columns"
    font, title = ImageFont.load_default(14), printable(title)
    layout = _layout(columns, rows, *images.shape[2:])
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
            page.paste(image.resize(layout.image, layout.resampling), (left + x, y))
    text = _truncate(title, font, width)
    draw.text((width // 2, page.height - MARGIN // 2), text, TEXT, font, anchor="mm")
    buffer = BytesIO()
    # On a large sheet of noise, the best compression takes ten seconds.
    page.save(buffer, "PNG", optimize=math.prod(page.size) <= MAX_FRAME_PIXELS)
    return buffer.getvalue()


def draw_animation(sheets: Sequence[Path]) -> bytes:
    """Return a looping WebP that shows sample sheets one after the other, the last one longest.

    Args:
        sheets: PNG files in order; evenly spaced ones are shown if there are more than MAX_FRAMES.
            Files that cannot be read are omitted. The others get the size of the last one, but at
            most MAX_FRAME_PIXELS pixels.

    Raises:
        ValueError: no file can be read.
    """
    step = max(1, -(-len(sheets) // MAX_FRAMES))
    last, *others = _frames([*sheets[: max(0, len(sheets) - 1) : step], *sheets[-1:]][::-1])
    frames = [*others[::-1], last]
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]
    options = {"save_all": True, "append_images": frames[1:], "duration": durations}
    buffer = BytesIO()
    frames[0].save(buffer, "WEBP", **options, loop=0, quality=60, method=4)
    return buffer.getvalue()


class _Layout(NamedTuple):
    """The sizes of a sheet's parts in its pixels."""

    image: tuple[int, int]  # width and height
    resampling: Image.Resampling
    columns: int  # in each line
    line: int  # height of a line, with its names
    page: tuple[int, int]  # width and height

    @property
    def width(self) -> int:
        """Width of a column, with the gap."""
        return self.image[0] + GAP

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Return the left and upper end of an image."""
        line, column = divmod(column, self.columns)
        return GAP + column * self.width, line * self.line + MARGIN + row * (self.image[1] + GAP)


def _layout(columns: int, rows: int, height: int, width: int) -> _Layout:
    """Return the layout with the largest images that keeps to MAX_PIXELS and MAX_SIDE."""
    shrunk = ((max(1, width // by), max(1, height // by)) for by in itertools.count(1))
    for size in itertools.chain([(width * SCALE, height * SCALE)], shrunk):
        line = MARGIN + rows * (size[1] + GAP)
        lines = max(1, round(math.sqrt(columns * (size[0] + GAP) / line)))
        in_line = -(-columns // lines)
        if columns % 2 == 0:  # such as pairs of columns, which a line must not separate
            in_line += in_line % 2
        page = in_line * (size[0] + GAP) + GAP, -(-columns // in_line) * line + MARGIN
        fits = max(page) <= MAX_SIDE and math.prod(page) <= MAX_PIXELS
        if fits or size == (1, 1):
            break
    smaller = size[0] < width or size[1] < height
    resampling = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
    return _Layout(size, resampling, in_line, line, page)


def _frames(sheets: Sequence[Path]) -> Iterator[Image.Image]:
    """Read the readable ones among some sheets, in the size of the first one or smaller."""
    size: tuple[int, int] | None = None
    for path in sheets:
        with suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            with Image.open(path) as page:
                frame = page.convert("RGB")
            if size is None:
                scale = min(1.0, math.sqrt(MAX_FRAME_PIXELS / (frame.width * frame.height)))
                scale = min(scale, MAX_SIDE / max(frame.size))
                size = max(1, int(frame.width * scale)), max(1, int(frame.height * scale))
            same = frame.size == size
            yield frame if same else frame.resize(size, Image.Resampling.BOX)


def _truncate(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Truncate a name to a width in pixels; an empty text is left if nothing fits."""
    name = printable(name)
    if len(name) <= width and font.getlength(name) <= width:
        return name
    name = name[:width]  # a longer text is wider, and slow to measure
    while name and font.getlength(name + "…") > width:
        name = name[:-1]
    return name + "…" if name else ""
