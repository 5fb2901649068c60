"""Render letters and digits of this machine's fonts as a dataset of 62 classes.

    python benchmarks/glyphs.py glyphs.npz
    cgan-train --dataset glyphs.npz --run-dir runs/glyphs
    python benchmarks/glyphs.py few.npz --size 28 --characters ABCDEFGHIJKL --train-fonts 90

Each font file below /usr/share/fonts that contains all 62 characters gives one image per class. A
tenth of the font families form the test set. docs/quality.md names the Debian packages of the fonts
that it measures.
"""

import hashlib
import string
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

CHARACTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
TEST_SHARE = 0.1  # share of the font families in the test set
MAX_LOOKALIKES = 6  # characters of a font that may equal another one, such as O and 0, or I and l
MARGIN = 2  # pixels around the largest character of a font


@click.command()
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--fonts", type=click.Path(path_type=Path), default="/usr/share/fonts")
@click.option("--size", type=click.IntRange(8, 128), default=48, show_default=True)
@click.option("--characters", default=CHARACTERS, help="The classes.  [default: all 62]")
@click.option(
    "--train-fonts", type=click.IntRange(1), help="Number of fonts to train on.  [default: all]"
)
def main(output: Path, fonts: Path, size: int, characters: str, train_fonts: int | None) -> None:
    """Write the .npz file in MedMNIST's layout."""
    if not characters or not set(characters) <= set(CHARACTERS):
        raise click.BadParameter(
            f"must contain only characters of {CHARACTERS}, got {characters!r}",
            param_hint="--characters",
        )
    families: dict[str, list[NDArray[np.uint8]]] = {}
    rendered = set()  # images of the fonts so far, to skip further files of the same font
    files = sorted(path for path in fonts.rglob("*") if path.suffix in {".ttf", ".otf"})
    for path in files:
        images = render(path, size)
        if images is None or images.tobytes() in rendered:
            continue
        rendered.add(images.tobytes())
        family = str(ImageFont.truetype(str(path)).getname()[0])
        families.setdefault(family, []).append(images)
    if len(families) < 1 / TEST_SHARE:
        raise click.ClickException(f"{fonts}: too few font families; install fonts, or use --fonts")
    order = sorted(families, key=lambda name: hashlib.sha256(name.encode()).digest())
    split = round(TEST_SHARE * len(order))
    classes = [CHARACTERS.index(character) for character in characters]
    arrays: dict[str, NDArray[np.uint8]] = {}
    for part, names in (("test", order[:split]), ("train", order[split:])):
        faces = np.stack([face for name in names for face in families[name]])[:, classes]
        if part == "train" and train_fonts:
            faces = faces[np.random.default_rng(0).permutation(len(faces))[:train_fonts]]
        arrays[f"{part}_images"] = faces.reshape(-1, size, size)
        labels = np.tile(np.arange(len(classes), dtype=np.uint8), len(faces))
        arrays[f"{part}_labels"] = labels[:, None]
        click.echo(f"{part}: {len(faces)} fonts")
    np.savez_compressed(output, allow_pickle=False, **arrays)


def render(path: Path, size: int) -> NDArray[np.uint8] | None:
    """Return the characters of a font, white on black, uint8 [62, size, size], or None.

    All characters share one scale and one baseline. None: the font lacks a character or is damaged.
    """
    try:
        font = ImageFont.truetype(str(path), size)
        boxes = [font.getbbox(character, anchor="ms") for character in CHARACTERS]
        top, bottom = min(box[1] for box in boxes), max(box[3] for box in boxes)
        widest = max(box[2] - box[0] for box in boxes)
        scale = (size - 2 * MARGIN) / max(bottom - top, widest)
        font = ImageFont.truetype(str(path), max(1, int(size * scale)))
    except (OSError, ValueError, ZeroDivisionError):  # not a scalable font
        return None
    top = min(font.getbbox(character, anchor="ms")[1] for character in CHARACTERS)
    images = np.stack([render_character(font, each, size, MARGIN - top) for each in CHARACTERS])
    # Fonts render all missing characters as the same box or blank.
    distinct = len({image.tobytes() for image in images})
    return images if distinct >= len(CHARACTERS) - MAX_LOOKALIKES else None


def render_character(
    font: ImageFont.FreeTypeFont, character: str, size: int, baseline: float
) -> NDArray[np.uint8]:
    """Return one character, centered, uint8 [size, size]."""
    image = Image.new("L", (size, size))
    left, _, right, _ = font.getbbox(character, anchor="ls")
    origin = ((size - left - right) / 2, baseline)
    ImageDraw.Draw(image).text(origin, character, fill=255, font=font, anchor="ls")
    return np.asarray(image)


if __name__ == "__main__":
    main()
