"""Train small conditional image generators (conditional GANs) in PyTorch.

    from pathlib import Path

    import torch
    from cgan_training import load_dataset, load_recipe, train

    dataset, _ = load_dataset("mnist", Path("data"))
    train(load_recipe("edge"), dataset, Path("runs/mnist"), device=torch.device("cpu"))

Importing this package does not import PyTorch. A name is imported when it is first used.
"""

TYPE_CHECKING = False  # importing typing takes milliseconds
if TYPE_CHECKING:
    from typing import Any

    from cgan_training.data import Dataset, load_dataset
    from cgan_training.errors import (
        CheckpointError,
        CollapsedError,
        DatasetError,
        DeviceError,
        DivergedError,
        LaunchError,
        MissingExtraError,
        ModelFileError,
        RecipeError,
        TrainingError,
        UserCodeError,
    )
    from cgan_training.model_file import Model, load_model, save_model
    from cgan_training.recipe import Recipe, load_recipe, recipe_names
    from cgan_training.run import RunOptions, train

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "CollapsedError",
    "Dataset",
    "DatasetError",
    "DeviceError",
    "DivergedError",
    "LaunchError",
    "MissingExtraError",
    "Model",
    "ModelFileError",
    "Recipe",
    "RecipeError",
    "RunOptions",
    "TrainingError",
    "UserCodeError",
    "load_dataset",
    "load_model",
    "load_recipe",
    "recipe_names",
    "save_model",
    "train",
]

_MODULES = {
    **dict.fromkeys(__all__, "errors"),  # overwritten below for all names but the errors
    **dict.fromkeys(("Dataset", "load_dataset"), "data"),
    **dict.fromkeys(("Model", "load_model", "save_model"), "model_file"),
    **dict.fromkeys(("Recipe", "load_recipe", "recipe_names"), "recipe"),
    **dict.fromkeys(("RunOptions", "train"), "run"),
}


def __getattr__(name: str) -> "Any":
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
