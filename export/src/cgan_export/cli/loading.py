"""Load the inputs of cgan-export: the generator, and the dataset if images are evaluated."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from cgan_export.cli.modules import (
    OWN_WEIGHTS_REMEDY,
    ModuleOptions,
    is_module_name,
    load_module,
)
from cgan_runtime.errors import printable

_logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from cgan_export.source.generator_source import GeneratorSource
    from cgan_training.data import Dataset


def load_source(model: Path, options: ModuleOptions, dataset: str | None) -> "GeneratorSource":
    """Load the generator from a user's module, a model.pt or a run directory."""
    from cgan_export.source.generator_source import source_of_model
    from cgan_training.errors import ModelFileError
    from cgan_training.model_file import REMEDY, load_model

    if is_module_name(model):
        return load_module(str(model), options, dataset)
    try:
        return source_of_model(load_model(model, generator=options.generator), str(model))
    except ModelFileError as error:
        if not str(error).endswith(REMEDY):
            raise
        own = OWN_WEIGHTS_REMEDY.format(weights=printable(str(model)))
        raise ModelFileError(f"{error}; {own}") from error


def load_data(
    source: "GeneratorSource",
    dataset: str | None,
    data_dir: Path | None,
    *,
    gated: bool,
    evaluate: bool,
) -> "tuple[Dataset, Dataset | None]":
    """Load the training images and the test images; only --evaluate requires test images.

    Raises:
        ExportError: the dataset is not available or does not fit, and the quality gate needs it.
        cgan_runtime.CganError: the dataset is not available or does not fit, and only --evaluate
            needs it.
    """
    from cgan_export.errors import EvaluationError, ExportError
    from cgan_export.evaluation.datasets import load_evaluation_data, load_training_images
    from cgan_export.evaluation.image_sources import torch_source
    from cgan_training.errors import DatasetError

    images = torch_source(source)
    try:
        train = load_training_images(images, dataset, data_dir)
    except (DatasetError, EvaluationError) as error:
        if not gated:
            raise
        raise ExportError(
            f"the quality gate needs the dataset: {error}; or pass --no-quality-gate"
        ) from error
    try:
        return train, load_evaluation_data(images, dataset, data_dir, train).test
    except (DatasetError, EvaluationError) as error:
        if evaluate:
            raise
        _logger.info(
            "note: the accuracy of the evaluation classifier is unknown: %s", error.problem
        )
        return train, None
