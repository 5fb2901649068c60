"""The options of a run, and config.json: its recipe, dataset, options and environment."""

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from cgan_training import __version__
from cgan_training.data.conversion import conversion_from_dict
from cgan_training.engine import Trainer
from cgan_training.errors import CheckpointError
from cgan_training.hardware import DEVICES
from cgan_training.input_files import read_bounded
from cgan_training.networks import Generator
from cgan_training.recipe import MAX_EPOCHS

MAX_CONFIG_BYTES = 2**24
EPOCHS = range(MAX_EPOCHS + 1)
RANGES = {"threads": range(1, 1025), "keep_every": EPOCHS, "eval_every": EPOCHS}  # valid values


@dataclass(frozen=True)
class RunOptions:
    """The options of a run that are not part of its recipe.

    Only start_from and seconds_limit affect the weights: the schedules end at the time limit.
    """

    seconds_limit: float | None = None  # end after this much more training, even within an epoch
    checkpoint_seconds: float = 300.0  # maximum time between two checkpoints
    keep_every: int = 0  # keep the generator of every n-th epoch in models/; 0 keeps none
    resume: bool = False  # continue the run in the run directory
    start_from: Path | None = None  # run directory whose networks initialize a new run
    # Returns the function that measures a generator's quality; called once, if eval_every is set.
    create_evaluator: Callable[[], Callable[[Generator], dict[str, float]]] | None = None
    eval_every: int = 0  # evaluate every n-th epoch and the last one; 0 evaluates none
    tensorboard: bool = False  # also write TensorBoard event files to tensorboard/
    progress_bar: bool = False  # show a bar on stderr instead of logging a line per epoch
    dataset_argument: str = ""  # name or absolute path of the dataset, for config.json
    data_dir: str = ""  # absolute path of --data-dir, for config.json
    recipe_path: str = ""  # absolute path of the recipe if it was a file, for config.json


def config_json(trainer: Trainer, options: RunOptions, origin: dict[str, Any]) -> bytes:
    """Return the content of config.json for a new run. The keys of `origin` are added."""
    dataset = trainer.dataset
    config = {
        "recipe": trainer.recipe.to_dict(),
        "dataset": {
            "name": dataset.name,
            "dataset": options.dataset_argument or dataset.name,
            "data_dir": options.data_dir,
            "images": len(dataset.labels),
            "shape": list(dataset.image_shape),
            "class_names": list(dataset.class_names),
            **dataset.conversion.to_dict(),
            "sha256": dataset.sha256,
        },
        **({"recipe_path": options.recipe_path} if options.recipe_path else {}),
        "device": trainer.device.type,
        "processes": trainer.processes.size,
        "threads": torch.get_num_threads(),
        "keep_every": options.keep_every,
        "eval_every": options.eval_every,
        "tensorboard": options.tensorboard,
        "versions": package_versions(),
        **origin,
    }
    # A path that is not valid UTF-8 contains lone surrogates. JSON can hold them as escapes.
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that determine the trained weights."""
    return {
        "python": platform.python_version(),
        "cgan-training": __version__,
        "torch": str(torch.__version__),
        "torchvision": version("torchvision"),
    }


def read_config(run_dir: Path) -> dict[str, Any]:
    """Return the content of a run's config.json, after a check of the values that --resume uses.

    Raises:
        CheckpointError: the directory contains no run, or its config.json is damaged.
    """
    path = run_dir / "config.json"
    try:
        config = json.loads(read_bounded(path, MAX_CONFIG_BYTES).decode("utf-8"))
        _check(config)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{run_dir} contains no run (no config.json); check the path"
        ) from error
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path}, or it is damaged; start a new run") from error
    return dict(config)


def saved_options(run_dir: Path) -> dict[str, Any]:
    """Return the command-line options that --resume takes from config.json; see read_config()."""
    config = read_config(run_dir)
    dataset = config.get("dataset", {})
    conversion = conversion_from_dict(dataset)
    return {
        "recipe": str(run_dir / "config.json"),
        **{key: dataset[key] for key in ("dataset", "data_dir") if dataset.get(key)},
        "image_size": conversion.image_size,
        "grayscale": conversion.channels == 1,
        **{
            key: config[key]
            for key in ("recipe_path", "device", "tensorboard", *RANGES)
            if key in config
        },
    }


def _check(config: Any) -> None:
    """Raise ValueError or AttributeError if a value that --resume uses is invalid."""
    dataset = config.get("dataset", {})
    conversion_from_dict(dataset)
    integers = [(config.get(key, valid.start), valid) for key, valid in RANGES.items()]
    are_valid = (
        config.get("device", "cpu") in DEVICES,
        type(config.get("tensorboard", False)) is bool,
        isinstance(config.get("recipe_path", ""), str),
        isinstance(dataset.get("dataset", ""), str),
        isinstance(dataset.get("data_dir", ""), str),
        *(type(value) is int and value in valid for value, valid in integers),
    )
    if not all(are_valid):
        raise ValueError("it contains invalid values")
