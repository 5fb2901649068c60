"""model.pt: a trained generator with what is needed to build it again.

A model file holds tensors and plain values only. archive.py reads it without running anything in
it; here its parts are checked against each other before they become a network.
"""

import hashlib
import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgan_training.archive import ArchiveError, load_archive, save_archive
from cgan_training.errors import ModelFileError, brief
from cgan_training.model_path import find_model
from cgan_training.networks import GENERATORS, Generator
from cgan_training.provenance import check_provenance
from cgan_training.recipe.settings import build_block

FORMAT = "cgan-model"
FORMAT_VERSION = 2  # 1 knew perceptrons alone


@dataclass(frozen=True)
class Model:
    """A trained generator and where it came from."""

    generator: Generator  # in eval mode, float32, on the CPU
    class_names: tuple[str, ...]  # one a label
    dataset: str  # name of the data set it learnt
    recipe: dict[str, Any]  # the resolved recipe, as plain values
    training: dict[str, Any]  # epochs and steps done, seconds, device, versions, what it began with
    quality: dict[str, float] = field(default_factory=dict)  # figures measured, by name

    @property
    def weights_sha256(self) -> str:
        """Hash of names, shapes and bytes of all weights, in order."""
        digest = hashlib.sha256()
        for name, tensor in self.generator.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().numpy().astype("<f4").tobytes())
        return digest.hexdigest()


def save_model(model: Model, path: Path) -> None:
    """Write model.pt, whole or not at all.

    Raises:
        OutputError: the place cannot be written.
    """
    generator = model.generator
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "network": {
            "settings": generator.settings.to_dict(),
            "noise_dim": generator.noise_dim,
            "classes": generator.classes,
            "height": generator.height,
            "width": generator.width,
        },
        "weights": {name: tensor.cpu() for name, tensor in generator.state_dict().items()},
        "class_names": list(model.class_names),
        "dataset": model.dataset,
        "recipe": model.recipe,
        "training": model.training,
        "quality": model.quality,
    }
    save_archive(content, path)


def load_model(path: Path) -> Model:
    """Read model.pt, or the one in a run directory.

    Raises:
        ModelFileError: there is none, it is not a cgan model, it comes from a newer release, or
            its weights do not fit its network.
    """
    path = find_model(path)
    content = _load_content(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of what no model has
            return Model(
                generator=_generator(content["network"], content["weights"], str(path)),
                **_described(content),
            )
    except Exception as error:  # whatever network and weights make torch raise
        raise ModelFileError(
            f"{path} is damaged: its parts do not fit ({brief(error)}); train it again"
        ) from error


def _generator(network: dict[str, Any], weights: dict[str, Tensor], source: str) -> Generator:
    """Build the network and give it its weights.

    Raises:
        Exception: of many kinds, where they do not fit each other.
    """
    network = dict(network)
    settings = build_block(GENERATORS, network.pop("settings"), source, "generator")
    # Without memory at first: the weights are as long as the file, its settings may say anything.
    with torch.device("meta"):
        generator = Generator(settings, **network)
    for name, wanted in generator.state_dict().items():
        found = weights[name]
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            raise ValueError(f"{name} is {found.dtype} {list(found.shape)}")
        if not found.isfinite().all():
            raise ValueError(f"{name} holds what is no number")
    generator.load_state_dict(weights, assign=True)
    return generator.eval().requires_grad_(False)


def _described(content: dict[str, Any]) -> dict[str, Any]:
    """Return what else a model has, of the types that it must be.

    Raises:
        KeyError, TypeError, ValueError: it is not.
    """
    names, classes = content["class_names"], content["network"]["classes"]
    named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not named or len(names) != classes:
        raise ValueError(f"{len(names)} names of {classes} classes")
    tables = {key: dict(content[key]) for key in ("recipe", "training", "quality")}
    if not isinstance(content["dataset"], str) or not isinstance(
        tables["training"]["versions"], dict
    ):
        raise TypeError("dataset or versions")
    if not all(isinstance(figure, int | float) for figure in tables["quality"].values()):
        raise TypeError("quality")
    if "start" in tables["training"]:
        check_provenance(tables["training"]["start"])
    # They become the metadata of an ONNX file.
    for value in (tables, list(names), content["dataset"]):
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return {"class_names": tuple(names), "dataset": content["dataset"], **tables}


def _load_content(path: Path) -> dict[str, Any]:
    """Unpack the file without running anything in it, and check what it says it is."""
    try:
        content = load_archive(path)
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}; check the path") from error
    except ArchiveError as error:
        raise ModelFileError(
            f"{path} is not a model that cgan-train wrote, or is damaged ({error}); "
            "give it a model.pt"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelFileError(
            f"{path} is a torch file, but not a model that cgan-train wrote; give it a model.pt"
        )
    version = content.get("version")
    if type(version) is not int or version != FORMAT_VERSION:  # a tensor compares to a tensor
        raise ModelFileError(
            f"{path} has model format {version!r:.20}, this release reads "
            f"{FORMAT_VERSION}; install the release that wrote it"
        )
    return content
