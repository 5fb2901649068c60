"""A whole run: train epoch by epoch, and leave its folder behind."""

import platform
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import cgan_training
from cgan_training.curves import curves
from cgan_training.data import Dataset
from cgan_training.loop import Trainer
from cgan_training.model_file import Model, save_model
from cgan_training.networks import Generator
from cgan_training.pictures import sheet
from cgan_training.progress import Progress
from cgan_training.recipe import Recipe
from cgan_training.run_dir import RunDir, read_metrics


def train(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    *,
    device: torch.device,
    seconds_limit: float | None = None,
    keep_every: int = 0,
    say: Callable[[str], None] = print,
) -> Path:
    """Train a recipe on a data set into a run directory.

    Args:
        recipe: how to train.
        dataset: what to learn.
        run_dir: where config.json, metrics.jsonl, samples/, checkpoint.pt, grid.png, curves.png
            and model.pt go; must hold no other run.
        device: torch's name of where to train.
        seconds_limit: end the run early, in the middle of an epoch if need be, after this much
            training.
        keep_every: also keep the generator of every so many epochs, as models/epoch-0010.pt;
            0 keeps none.
        say: told what happens, a line at a time.

    Returns:
        The path of model.pt.

    Raises:
        OutputError: the run directory cannot be written, or holds a run.
        DivergedError: the losses are no longer numbers.
    """
    folder = RunDir(run_dir, keeps_models=bool(keep_every))
    trainer = Trainer(recipe, dataset, device)
    folder.write_config(_config(trainer))
    with Progress(recipe.epochs, trainer.steps_per_epoch, trainer.batch_size, say) as progress:
        while trainer.epoch < recipe.epochs and _has_time(trainer, seconds_limit):
            began = trainer.seconds

            def on_step(done: int, sums: Tensor, began: float = began) -> bool:
                seconds = progress.step(done, sums)
                return seconds_limit is None or began + seconds < seconds_limit

            progress.start_epoch(trainer.epoch + 1)
            epoch = trainer.train_epoch(on_step)
            progress.end_epoch(epoch)
            folder.add_metrics(asdict(epoch))
            folder.write_sheet(_sheet(trainer), epoch.epoch)
            folder.write_checkpoint(trainer.state())
            if keep_every and epoch.epoch % keep_every == 0:
                save_model(_model(trainer), folder.kept_model_path(epoch.epoch))
    folder.close()
    folder.write_grid(_sheet(trainer))
    folder.write_curves(curves(read_metrics(run_dir), _title(trainer)))
    save_model(_model(trainer), folder.model_path)
    return folder.model_path


def _has_time(trainer: Trainer, seconds_limit: float | None) -> bool:
    return seconds_limit is None or trainer.seconds < seconds_limit


def _sheet(trainer: Trainer) -> bytes:
    return sheet(trainer.draw_sheet(), trainer.dataset.class_names, _title(trainer))


def _title(trainer: Trainer) -> str:
    return f"recipe {trainer.recipe.name}, {trainer.dataset.name}, epoch {trainer.epoch}"


def _model(trainer: Trainer) -> Model:
    """Copy the generator to the CPU, with what there is to say about it."""
    trained = trainer.generator
    generator = Generator(
        trained.noise_dim,
        trained.classes,
        trainer.recipe.generator_hidden,
        trained.height,
        trained.width,
    )
    generator.load_state_dict(trained.state_dict())
    return Model(
        generator=generator.eval().requires_grad_(False),
        class_names=trainer.dataset.class_names,
        dataset=trainer.dataset.name,
        recipe=trainer.recipe.to_dict(),
        training={
            "epochs": trainer.epoch,
            "steps": trainer.step,
            "seconds": round(trainer.seconds, 1),
            "device": str(trainer.device),
            "versions": _versions(),
        },
    )


def _config(trainer: Trainer) -> dict[str, Any]:
    dataset = trainer.dataset
    return {
        "recipe": trainer.recipe.to_dict(),
        "dataset": {
            "name": dataset.name,
            "images": len(dataset.labels),
            "shape": [1, dataset.height, dataset.width],
            "class_names": list(dataset.class_names),
        },
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "cgan-training": cgan_training.__version__,
        "torch": str(torch.__version__),
        "torchvision": version("torchvision"),
    }
