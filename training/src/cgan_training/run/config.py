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
RANGES = {"threads": range(1, 1025), "keep_every": EPOCHS, "eval_every": EPOCHS}


@dataclass(frozen=True)
class RunOptions:
    """What a run does besides training: limits, checkpoints, evaluation and extra files.

    Only start_from and seconds_limit affect the trained weights. The time limit does so because the
    schedules end with it.
    """

    seconds_limit: float | None = None  # stop after this much training, even within an epoch
    checkpoint_seconds: float = 300.0  # maximum time between two checkpoints
    keep_every: int = 0  # keep the generator of every n-th epoch in models/; 0 keeps none
    resume: bool = False  # continue the run in the run directory
    start_from: Path | None = None  # run directory whose networks initialize a new run
    # Called once, before a new run writes anything; returns what measures a generator's quality.
    create_evaluator: Callable[[], Callable[[Generator], dict[str, float]]] | None = None
    eval_every: int = 0  # evaluate every n-th epoch and the last one; 0 evaluates none
    tensorboard: bool = False  # also write TensorBoard event files to tensorboard/
    progress_bar: bool = False  # show a bar on stderr instead of logging a line per epoch
    dataset_argument: str = ""  # name or absolute path of the dataset, for config.json
    data_dir: str = ""  # absolute path of --data-dir, for config.json
    recipe_path: str = ""  # absolute path of the recipe if it was a file, for config.json


def config_json(trainer: Trainer, options: RunOptions, origin: dict[str, Any]) -> bytes:
    """Return the content of config.json for a new run; origin adds keys."""
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
    # A path that is not valid UTF-8 contains lone surrogates, which JSON can hold escaped.
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
    """Return the content of a run's config.json, whose values have the types that --resume expects.

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
    """Raise an error unless it is a table whose values for --resume are valid or missing."""
    dataset = config.get("dataset", {})
    conversion_from_dict(dataset)
    integers = {key: config.get(key, valid.start) for key, valid in RANGES.items()}
    if (
        config.get("device", "cpu") not in DEVICES
        or type(config.get("tensorboard", False)) is not bool
        or not isinstance(config.get("recipe_path", ""), str)
        or not all(isinstance(dataset.get(key, ""), str) for key in ("dataset", "data_dir"))
        or not all(type(value) is int and value in RANGES[key] for key, value in integers.items())
    ):
        raise ValueError("it contains invalid values")
