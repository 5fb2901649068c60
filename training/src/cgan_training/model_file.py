"""model.pt: a trained generator with what is needed to build it again.

A model file holds tensors and plain values only, and is loaded with weights_only=True: a pickle
that would run code is refused by torch.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cgan_training.errors import ModelFileError, RecipeError
from cgan_training.files import written_whole
from cgan_training.networks import GENERATORS, Generator
from cgan_training.settings import build_block

FORMAT = "cgan-model"
FORMAT_VERSION = 2  # 1 knew perceptrons alone


@dataclass(frozen=True)
class Model:
    """A trained generator and where it came from."""

    generator: Generator  # in eval mode, float32, on the CPU
    class_names: tuple[str, ...]  # one a label
    dataset: str  # name of the data set it learnt
    recipe: dict[str, Any]  # the resolved recipe, as plain values
    training: dict[str, Any]  # epochs and steps done, seconds, device, package versions
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
    with written_whole(path) as file:
        torch.save(content, file)


def load_model(path: Path) -> Model:
    """Read model.pt, or the one in a run directory.

    Raises:
        ModelFileError: there is none, it is not a cgan model, it comes from a newer release, or
            its weights do not fit its network.
    """
    if path.is_dir():
        path = path / "model.pt"
    content = _load_content(path)
    try:
        network = dict(content["network"])
        settings = build_block(GENERATORS, network.pop("settings"), str(path), "generator")
        generator = Generator(settings, **network)
        generator.load_state_dict(content["weights"])
        return Model(
            generator=generator.eval().requires_grad_(False),
            class_names=tuple(content["class_names"]),
            dataset=content["dataset"],
            recipe=content["recipe"],
            training=content["training"],
            quality=content["quality"],
        )
    except (RecipeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(
            f"{path} is damaged: its parts do not fit ({reason}); train it again"
        ) from error


def _load_content(path: Path) -> dict[str, Any]:
    """Unpack the file without running anything in it, and check what it says it is."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelFileError(
            f"there is no {path}; make one with cgan-train, or check the path"
        ) from error
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}; check the path") from error
    except Exception as error:  # torch tells a foreign file by a dozen different exceptions
        raise ModelFileError(
            f"{path} is not a model that cgan-train wrote, or is damaged; give it a model.pt"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelFileError(
            f"{path} is a torch file, but not a model that cgan-train wrote; give it a model.pt"
        )
    if content.get("version") != FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has model format {content.get('version')}, this release reads "
            f"{FORMAT_VERSION}; install the release that wrote it"
        )
    return content
