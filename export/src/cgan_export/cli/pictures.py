"""Pictures and cards beside a result. A picture that cannot be drawn is skipped with a warning."""

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


def draw(name: str, function: Callable[[], bytes]) -> bytes | None:
    """Return a picture; log a warning and return None if it cannot be drawn."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - the libraries raise many types, e.g. for large sizes
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        _logger.warning("%s cannot be drawn (%.200s)", name, reason)
        return None


def write_pictures(
    evaluation: "Evaluation", source: "ImageSource", evaluator: "Evaluator", folder: Path
) -> None:
    """Write the three pictures of a model to an existing folder.

    Raises:
        OutputError: a picture cannot be written.
    """
    from cgan_export.evaluation.pictures import confusion_picture, nearest_picture, sheet_picture

    names, title = source.class_names, printable(source.name)
    train, nearest_title = evaluator.train.images, "generated images and nearest training images"
    pictures = {
        "sheet.png": partial(sheet_picture, evaluation, names, title),
        "confusion.png": partial(confusion_picture, evaluation, names, title),
        "nearest.png": partial(nearest_picture, evaluation, train, names, nearest_title),
    }
    for name, function in pictures.items():
        picture = draw(name, function)
        if picture is not None:
            with atomic_write(folder / name) as file:
                file.write(picture)


def write_card(generator: "ImageGenerator", speed: "Speed") -> None:
    """Write the model card of a file and its sample sheet beside it."""
    from cgan_export.evaluation.model_card import model_card, sample_sheet

    sheet, card = map(generator.model_path.with_suffix, CARD_SUFFIXES)
    picture = draw(sheet.name, partial(sample_sheet, generator))
    text = model_card(generator, speed, sheet.name if picture else None)
    for path, content in ((card, text.encode()), (sheet, picture)):
        if content is not None:
            with atomic_write(path) as file:
                file.write(content)
