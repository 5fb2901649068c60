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

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationData:
    """The real images that generated images are compared with."""

    train: Dataset
    test: Dataset


def load_training_images(
    source: ImageSource, dataset: str | None = None, data_dir: Path | None = None
) -> Dataset:
    """Load the images that a model was trained on, or another dataset that fits the model.

    Without a name, the dataset is the one that the model file names: the path in a model.pt, or a
    built-in dataset. It must then have the hash in the model file. The images are converted as for
    the training, or to the images of the model if the file does not say how that was.

    Args:
        source: the model.
        dataset: a name or path for load_dataset().
        data_dir: the root folder of torchvision's datasets; by default the one in the model.pt, if
            it still exists, or else "data".

    Raises:
        DatasetError: the dataset is not available.
        EvaluationError: it does not fit the model, or is not the one that the model was trained on.
    """
    name, folder = _locate(source, dataset, data_dir)
    try:
        train = load_dataset(name, folder, conversion=_conversion(source))[0]
    except DatasetError as error:
        if dataset is not None:
            raise
        raise DatasetError(f"{error}; or name the dataset with --dataset and --data-dir") from error
    require_fit(source, train)
    if not has_trained_on(source, train):
        if dataset is None:
            raise EvaluationError(
                f"{source.name} was not trained on {train.source} as it is now (the SHA-256 of the "
                "images, labels and class names differs); name the dataset with --dataset and "
                f"--data-dir, or use this one with --dataset {shlex.quote(name)}"
            )
        _log.info("note: %s was not trained on %s", source.name, train.source)
    return train


def load_evaluation_data(
    source: ImageSource,
    dataset: str | None = None,
    data_dir: Path | None = None,
    train: Dataset | None = None,
) -> EvaluationData:
    """Load the training and the test part of a dataset; see load_training_images().

    With train, the training part is already loaded.

    Raises:
        DatasetError: the dataset is not available, or has no test part, or its parts do not fit.
        EvaluationError: it does not fit the model, or all of its test images are equal.
    """
    train = train or load_training_images(source, dataset, data_dir)
    name, folder = _locate(source, dataset, data_dir)
    if name == "auto":  # it could choose another dataset for the test part
        name = train.name
    test = load_test_part(train, name, folder)
    _require_variety(test)
    return EvaluationData(train, test)


def require_fit(source: ImageSource, data: Dataset) -> None:
    """Raise EvaluationError unless a dataset has the classes and the image size of a model."""
    shape, names = data.image_shape, [normalize("NFC", each) for each in data.class_names]
    if source.shape != shape or len(source.class_names) != len(names):
        raise EvaluationError(
            f"{source.name} generates {_describe(len(source.class_names), source.shape)}, but "
            f"{data.name} has {_describe(len(names), shape)}; name the dataset that the model was "
            "trained on with --dataset"
        )
    for label, (expected, name) in enumerate(zip(source.class_names, names, strict=True)):
        if normalize("NFC", expected) != name:
            raise EvaluationError(
                f"class {label} of {source.name} is {expected!r}, but {name!r} in {data.source}; "
                "name the dataset that the model was trained on with --dataset"
            )


def has_trained_on(source: ImageSource, data: Dataset) -> bool:
    """Return whether a model was trained on a dataset; True if the file does not say it."""
    return source.training.get("dataset_sha256") in (None, data.sha256)


def _locate(source: ImageSource, dataset: str | None, data_dir: Path | None) -> tuple[str, Path]:
    """Return the arguments of load_dataset()."""
    saved_dir = source.training.get("data_dir")
    if data_dir is None and saved_dir and Path(saved_dir).is_dir():
        data_dir = Path(saved_dir)
    folder = data_dir or DEFAULT_DATA_DIR
    if dataset is not None:
        return dataset, folder
    # The name of a folder says nothing about where it is.
    path = source.training.get("dataset_path") or source.dataset
    if not path:
        raise EvaluationError(
            f"{source.name} does not say what it was trained on; name its dataset with --dataset"
        )
    if path not in BUILT_IN and not Path(path).is_absolute():
        raise EvaluationError(
            f"{source.name} was trained on {source.dataset!r}, which is not a built-in dataset; "
            "give its folder or function as --dataset"
        )
    return path, folder


def _conversion(source: ImageSource) -> Conversion:
    """Return the conversion of the images that a model was trained on."""
    if "dataset_sha256" not in source.training:  # the network is not from cgan-train
        channels, *size = source.shape
        return Conversion((size[0], size[1]), channels) if all(map(is_side, size)) else Conversion()
    try:
        return conversion_from_dict(source.training)
    except ValueError as error:
        raise EvaluationError(
            f"{source.name} has invalid facts about its training ({error}); train it again"
        ) from error


def _require_variety(test: Dataset) -> None:
    """Raise EvaluationError if the images of a test part, which has two or more, are all equal."""
    if bool((test.images == test.images[0]).all()):
        raise EvaluationError(
            f"{test.source}: evaluation needs at least two different test images; add some"
        )


def _describe(classes: int, image_shape: ImageShape) -> str:
    channels, height, width = image_shape
    color = " in color" if channels > 1 else ""
    return f"{classes} classes of {height} x {width} pixels{color}"
