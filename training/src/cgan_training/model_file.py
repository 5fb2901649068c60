"""Save and load model.pt: a trained generator, its settings and its origin.

A model file holds tensors and plain values only. archive.py reads it without executing anything;
this module checks that its parts agree before it builds the network. Code that only needs the
file's path uses model_path.py, which does not import torch.
"""

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cgan_runtime.model_file.contract import CHANNELS, ImageShape
from cgan_training.archive import load_archive_with_advice, save_archive
from cgan_training.data.conversion import conversion_from_dict
from cgan_training.errors import ModelFileError, UserCodeError, one_line
from cgan_training.model_path import find_model
from cgan_training.networks import Generator, build_generator
from cgan_training.provenance import check_provenance
from cgan_training.recipe import TABLES, CustomGeneratorSettings, GeneratorSettings, build_table

FORMAT, FORMAT_VERSION = "cgan-model", 3
REMEDY = "give a model.pt or its run directory"
# Optional strings in Model.training. dataset_path is an absolute path, or the name of a built-in
# dataset or of a user's function.
TRAINING_STRINGS = ("dataset_path", "data_dir", "dataset_sha256", "recipe_path")


@dataclass(frozen=True)
class Model:
    """A trained generator and where it came from."""

    generator: Generator  # a float32 network on the CPU, in eval mode
    class_names: tuple[str, ...]  # one per label
    dataset: str  # name of the training dataset
    recipe: dict[str, Any]  # the resolved recipe, as plain values
    # epochs, steps, seconds, device, processes, threads, machine, versions; optional: dataset_path,
    # data_dir, dataset_sha256, recipe_path, image_size, grayscale, seconds_limit,
    # stopped_after_seconds, resumed, started_from
    training: dict[str, Any]

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the names, shapes and bytes of all weights, in order."""
        digest = hashlib.sha256()
        for name, tensor in self.generator.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().numpy().astype("<f4").tobytes())
        return digest.hexdigest()


def save_model(model: Model, path: Path) -> None:
    """Write a model to a file atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    generator = model.generator
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "network": {
            "settings": generator.settings.to_dict(),
            "noise_dim": generator.noise_dim,
            "classes": generator.classes,
            "image_shape": list(generator.image_shape),
        },
        "weights": {name: tensor.cpu() for name, tensor in generator.state_dict().items()},
        "class_names": list(model.class_names),
        "dataset": model.dataset,
        "recipe": model.recipe,
        "training": model.training,
    }
    save_archive(content, path)


def load_model(path: Path, *, generator: str | None = None) -> Model:
    """Load a model from model.pt or from its run directory.

    Args:
        path: the file, or the run directory that contains it.
        generator: the name of your own generator, "my_module:MyGenerator", if the model was trained
            with one. Its module is imported only if the model has exactly this generator. Models
            of other kinds ignore the name.

    Raises:
        ModelFileError: the file is missing, is not a model or has a different format version; its
            weights do not match its network; or its generator is code of a user, but `generator`
            does not name it.
        UserCodeError: the generator cannot be imported, or does not work.
    """
    path = find_model(path)
    content = _read_content(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch may warn about damaged values
            fields = _checked_fields(content)
            return Model(_build_generator(content, path, generator), **fields)
    except (ModelFileError, UserCodeError):
        raise
    except Exception as error:  # torch raises many types for invalid values
        raise ModelFileError(
            f"{path} is damaged: its content is inconsistent ({one_line(error)}); train it again"
        ) from error


def _read_content(path: Path) -> dict[str, Any]:
    """Read the file without executing anything in it, and check its format and version."""
    damaged = "{path} is not a model that cgan-train wrote, or is damaged ({reason}); " + REMEDY
    content = load_archive_with_advice(path, ModelFileError, damaged)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelFileError(
            f"{path} is a PyTorch file, but not a model that cgan-train wrote; {REMEDY}"
        )
    version = content.get("version")
    if type(version) is not int or version != FORMAT_VERSION:  # comparing a tensor returns a tensor
        raise ModelFileError(
            f"{path} has model format {version!r:.20}, but this release reads "
            f"format {FORMAT_VERSION}; install the release that wrote it"
        )
    return content


def _build_generator(content: dict[str, Any], path: Path, named: str | None) -> Generator:
    """Build the network and load its weights; raises many types of errors if they do not match.

    Raises:
        ModelFileError: the network is code of a user, but `named` is not its name.
    """
    arguments, weights = dict(content["network"]), content["weights"]
    settings = build_table(TABLES["generator"], arguments.pop("settings"), str(path), "generator")
    arguments["image_shape"] = _image_shape(arguments["image_shape"])
    if not isinstance(settings, GeneratorSettings):
        raise TypeError("these are not settings of a generator")
    # Damaged settings can describe a huge network, so build it on the meta device, without memory.
    # A user's network may have buffers that the file lacks, so build it on the CPU.
    is_custom = isinstance(settings, CustomGeneratorSettings)
    if is_custom and settings.kind != named:
        given = f", not {named}" if named else ""
        raise ModelFileError(
            f"{path} contains your generator {settings.kind}{given}; a model's code is imported "
            f"only if you name it, so add --generator {settings.kind}"
        )
    with torch.device("cpu" if is_custom else "meta"):
        generator = build_generator(settings, **arguments)
    for name, expected in generator.state_dict().items():
        weight = weights[name]
        if weight.shape != expected.shape or weight.dtype != expected.dtype:
            raise ValueError(f"{name} has the type {weight.dtype} {list(weight.shape)}")
        if not weight.isfinite().all():
            raise ValueError(f"{name} contains NaN or infinite values")
    generator.load_state_dict(weights, assign=not is_custom)
    return generator.eval().requires_grad_(False)


def _image_shape(value: Any) -> ImageShape:
    has_three_sizes = isinstance(value, list) and [type(size) for size in value] == [int, int, int]
    if not has_three_sizes or value[0] not in CHANNELS:
        raise ValueError(f"image_shape is {value!r:.40}")
    channels, height, width = value
    return channels, height, width


def _checked_fields(content: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of Model other than the generator, with their types checked."""
    names, dataset = content["class_names"], content["dataset"]
    tables = {key: dict(content[key]) for key in ("recipe", "training")}
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("class_names must be a list of strings")
    if len(names) != content["network"]["classes"]:
        raise ValueError(f"{len(names)} class names for {content['network']['classes']} classes")
    if not isinstance(dataset, str):
        raise TypeError("dataset must be a string")
    if not isinstance(tables["training"]["versions"], dict):
        raise TypeError("training.versions must be a dict")
    if not all(isinstance(tables["training"].get(key) or "", str) for key in TRAINING_STRINGS):
        raise TypeError(f"{', '.join(TRAINING_STRINGS)} must be strings")
    conversion_from_dict(tables["training"])
    if "started_from" in tables["training"]:
        check_provenance(tables["training"]["started_from"])
    # The export writes these values into the ONNX file's metadata as UTF-8 JSON.
    json.dumps([tables, names, dataset], ensure_ascii=False, allow_nan=False).encode()
    return {"class_names": tuple(names), "dataset": dataset, **tables}
