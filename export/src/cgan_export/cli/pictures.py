"""Write pictures and model cards. A warning replaces a picture that cannot be rendered."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cgan_export.cli.outputs import CARD_SUFFIXES
from cgan_runtime.errors import printable
from cgan_runtime.files import atomic_write

if TYPE_CHECKING:
    from cgan_export.evaluation.evaluator import Evaluation, Evaluator
    from cgan_export.evaluation.image_sources import ImageSource
    from cgan_runtime import ImageGenerator
    from cgan_runtime.diagnostics.speed import Speed

_logger = logging.getLogger(__name__)


def render_or_warn(name: str, render: Callable[[], bytes]) -> bytes | None:
    """Return a picture, or log a warning and return None if it cannot be rendered."""
    try:
        return render()
    except Exception as error:  # noqa: BLE001 - the libraries raise many types, e.g. for large sizes
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        _logger.warning("%s cannot be rendered (%.200s)", name, reason)
        return None


def write_pictures(
    evaluation: "Evaluation", source: "ImageSource", evaluator: "Evaluator", folder: Path
) -> None:
    """Write the sample sheet, confusion matrix and nearest training images to an existing folder.

    Raises:
        OutputError: a file cannot be written.
    """
    from cgan_export.evaluation.pictures import confusion_picture, nearest_picture, sheet_picture

    names, title = source.class_names, printable(source.name)
    train, nearest_title = evaluator.train.images, "generated images and nearest training images"
    pictures = {
        "sheet.png": partial(sheet_picture, evaluation, names, title),
        "confusion.png": partial(confusion_picture, evaluation, names, title),
        "nearest.png": partial(nearest_picture, evaluation, train, names, nearest_title),
    }
    for name, render in pictures.items():
        picture = render_or_warn(name, render)
        if picture is not None:
            with atomic_write(folder / name) as file:
                file.write(picture)


def write_card(generator: "ImageGenerator", speed: "Speed") -> None:
    """Write the model card and the sample sheet of an exported file into its folder."""
    from cgan_export.evaluation.model_card import model_card, sample_sheet

    sheet, card = map(generator.model_path.with_suffix, CARD_SUFFIXES)
    picture = render_or_warn(sheet.name, partial(sample_sheet, generator))
    text = model_card(generator, speed, sheet.name if picture else None)
    for path, content in ((card, text.encode()), (sheet, picture)):
        if content is not None:
            with atomic_write(path) as file:
                file.write(content)
