"""config.json of a run: its recipe, dataset, options and environment."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from cgan_training import __version__
from cgan_training.engine import Trainer
from cgan_training.errors import CheckpointError
from cgan_training.hardware import DEVICES
from cgan_training.recipe import MAX_EPOCHS
from cgan_training.run.options import RunOptions

RANGES = {"threads": (1, 1024), "keep_every": (0, MAX_EPOCHS), "eval_every": (0, MAX_EPOCHS)}


def build_config(trainer: Trainer, options: RunOptions) -> dict[str, Any]:
    """Return the content of config.json for a new run, as plain values."""
    dataset = trainer.dataset
    return {
        "recipe": trainer.recipe.to_dict(),
        "dataset": {
            "name": dataset.name,
            "dataset": options.dataset_argument or dataset.name,
            "data_dir": options.data_dir,
            "images": len(dataset.labels),
            "shape": [1, dataset.height, dataset.width],
            "class_names": list(dataset.class_names),
        },
        "device": trainer.device.type,
        "processes": trainer.processes.size,
        "threads": torch.get_num_threads(),
        "keep_every": options.keep_every,
        "eval_every": options.eval_every,
        "tensorboard": options.tensorboard,
        "versions": package_versions(),
    }


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
        config = json.loads(path.read_text(encoding="utf-8"))
        _check(config)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{run_dir} contains no run (no config.json); check the path"
        ) from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path}, or it is damaged; start a new run") from error
    return dict(config)


def saved_options(run_dir: Path) -> dict[str, Any]:
    """Return the command-line options that a resumed run takes from its config.json, by name.

    Raises:
        CheckpointError: the directory contains no run, or its config.json is damaged.
    """
    config = read_config(run_dir)
    dataset = config.get("dataset", {})
    return {
        "recipe": str(run_dir / "config.json"),
        **{key: dataset[key] for key in ("dataset", "data_dir") if dataset.get(key)},
        **{key: config[key] for key in ("device", "tensorboard", *RANGES) if key in config},
    }


def _check(config: Any) -> None:
    """Check the values that --resume uses.

    Raises:
        TypeError, ValueError: a value has an unexpected type or is out of range.
    """
    if not isinstance(config, dict) or config.get("device", "cpu") not in DEVICES:
        raise TypeError("device")
    for key, kind in {"dataset": dict, "tensorboard": bool}.items():
        if type(config.get(key, kind())) is not kind:
            raise TypeError(key)
    dataset = config.get("dataset", {})
    if not all(isinstance(dataset.get(key, ""), str) for key in ("dataset", "data_dir")):
        raise TypeError("dataset")
    for key, (minimum, maximum) in RANGES.items():
        value = config.get(key, minimum)
        if type(value) is not int or not minimum <= value <= maximum:
            raise ValueError(key)
