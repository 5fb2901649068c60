"""Find the dataset that a model was trained on, and check that it fits the model."""

import logging
import shlex
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from cgan_export.errors import EvaluationError
from cgan_export.evaluation.image_sources import ImageSource
from cgan_runtime.model_file.contract import ImageShape
from cgan_training.data import DATASETS, Conversion, Dataset, load_dataset, load_test_part
from cgan_training.data.conversion import conversion_from_dict, is_side
from cgan_training.errors import DatasetError

DEFAULT_DATA_DIR = Path("data")
BUILT_IN = tuple(name for name in DATASETS if name != "auto")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationData:
    """The real images that generated images are compared with."""

    train: Dataset
    test: Dataset


def load_training_images(
    model: ImageSource, dataset: str | None = None, data_dir: Path | None = None
) -> Dataset:
    """Load the images that a model was trained on, or another dataset that fits the model.

    If `dataset` is None, the model file names the dataset: a path in a model.pt, or a built-in
    dataset. The dataset's SHA-256 must then equal the one in the model file. The images are
    converted as for training. If the file does not record how, they get the model's size and
    channels.

    Args:
        model: the model whose dataset is loaded.
        dataset: a name or path for load_dataset().
        data_dir: the root folder of torchvision's datasets. Default: the folder in the model.pt if
            it still exists, otherwise "data".

    Raises:
        DatasetError: the dataset is not available.
        EvaluationError: the dataset does not fit the model, or has another SHA-256.
    """
    name, folder = _dataset_arguments(model, dataset, data_dir)
    try:
        train = load_dataset(name, folder, conversion=_conversion(model))[0]
    except DatasetError as error:
        if dataset is not None:
            raise
        raise DatasetError(f"{error}; or name the dataset with --dataset and --data-dir") from error
    require_fit(model, train)
    if dataset is None and not matches_training_data(model, train):
        raise EvaluationError(
            f"{train.source} differs from the dataset that {model.name} was trained on (by the "
            "SHA-256 of the images, labels and class names); name the dataset with --dataset and "
            f"--data-dir, or use this one with --dataset {shlex.quote(name)}"
        )
    note_other_dataset(model, train)
    return train


def load_evaluation_data(
    model: ImageSource,
    dataset: str | None = None,
    data_dir: Path | None = None,
    train: Dataset | None = None,
) -> EvaluationData:
    """Load the training and the test part of a dataset; see load_training_images().

    `train` is the training part if it is already loaded.

    Raises:
        DatasetError: the dataset is not available or has no test part, or its parts differ in
            classes or image size.
        EvaluationError: the dataset does not fit the model, or all of its test images are equal.
    """
    train = train or load_training_images(model, dataset, data_dir)
    name, folder = _dataset_arguments(model, dataset, data_dir)
    if name == "auto":  # "auto" could choose another dataset for the test part
        name = train.name
    test = load_test_part(train, name, folder)
    _require_different_images(test)
    return EvaluationData(train, test)


def require_fit(model: ImageSource, data: Dataset) -> None:
    """Raise EvaluationError unless a dataset has the classes and the image size of a model."""
    shape, names = data.image_shape, [normalize("NFC", each) for each in data.class_names]
    if model.shape != shape or len(model.class_names) != len(names):
        raise EvaluationError(
            f"{model.name} generates {_describe(len(model.class_names), model.shape)}, but "
            f"{data.name} has {_describe(len(names), shape)}; name the dataset that the model was "
            "trained on with --dataset"
        )
    for label, (expected, name) in enumerate(zip(model.class_names, names, strict=True)):
        if normalize("NFC", expected) != name:
            raise EvaluationError(
                f"class {label} of {model.name} is {expected!r}, but {name!r} in {data.source}; "
                "name the dataset that the model was trained on with --dataset"
            )


def note_other_dataset(model: ImageSource, data: Dataset) -> None:
    """Log a note if a model was trained on another dataset."""
    if not matches_training_data(model, data):
        _logger.info("note: %s was not trained on %s", model.name, data.source)


def matches_training_data(model: ImageSource, data: Dataset) -> bool:
    """Return whether a dataset has the SHA-256 in the model file, or the file has none."""
    return model.training.get("dataset_sha256") in (None, data.sha256)


def _dataset_arguments(
    model: ImageSource, dataset: str | None, data_dir: Path | None
) -> tuple[str, Path]:
    """Return the name or path and the root folder that load_dataset() needs."""
    saved_dir = model.training.get("data_dir")
    if data_dir is None and saved_dir and Path(saved_dir).is_dir():
        data_dir = Path(saved_dir)
    folder = data_dir or DEFAULT_DATA_DIR
    if dataset is not None:
        return dataset, folder
    # For a folder, model.dataset is only the folder's name, and dataset_path is its path.
    path = model.training.get("dataset_path") or model.dataset
    if not path:
        raise EvaluationError(
            f"{model.name} does not record its training dataset; name it with --dataset"
        )
    if path not in BUILT_IN and not Path(path).is_absolute():
        raise EvaluationError(
            f"{model.name} was trained on {model.dataset!r}, which is not a built-in dataset; "
            "give its folder or function as --dataset"
        )
    return path, folder


def _conversion(model: ImageSource) -> Conversion:
    """Return the conversion of the images for a model's training."""
    if "dataset_sha256" not in model.training:  # the network is not from cgan-train
        channels, *size = model.shape
        return Conversion((size[0], size[1]), channels) if all(map(is_side, size)) else Conversion()
    try:
        return conversion_from_dict(model.training)
    except ValueError as error:
        raise EvaluationError(
            f"{model.name} has an invalid record of its training ({error}); train it again"
        ) from error


def _require_different_images(test: Dataset) -> None:
    """Raise EvaluationError if all test images are equal. A test part has at least two images."""
    if bool((test.images == test.images[0]).all()):
        raise EvaluationError(
            f"{test.source}: evaluation needs at least two different test images; add some"
        )


def _describe(classes: int, image_shape: ImageShape) -> str:
    channels, height, width = image_shape
    color = " in color" if channels > 1 else ""
    return f"{classes} classes of {height} x {width} pixels{color}"
