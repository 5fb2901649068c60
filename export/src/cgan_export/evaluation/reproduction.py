"""Write the section of a model card that tells how to train the model again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cgan_export.evaluation.markdown import escape, shell_word
from cgan_runtime.errors import CganError
from cgan_runtime.model_file.contract import ModelInfo
from cgan_training.data import DATASETS
from cgan_training.data.conversion import conversion_from_dict
from cgan_training.recipe import load_recipe, recipe_from_dict, recipe_names


def training_runs(info: ModelInfo) -> list[Mapping[str, Any]]:
    """Return the records of the training runs that led to the model, in order."""
    runs: list[Mapping[str, Any]] = [
        {**info.training, "recipe": dict(info.recipe), "dataset": info.dataset}
    ]
    while "started_from" in runs[0]:
        runs.insert(0, runs[0]["started_from"])
    return runs


def reproduction(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the commands that train the model again, the files they need, and the full recipes.

    There are no commands if the metadata lacks an option. The introduction claims identical weights
    only for uninterrupted runs on a CPU without a time limit.
    """
    try:
        commands = [_command(number, run) for number, run in enumerate(runs, 1)]
    except (KeyError, TypeError, ValueError):
        commands = []
    recipes = [line for run in runs if "name" in run["recipe"] for line in _recipe(run["recipe"])]
    if not commands:
        return recipes
    files = [line for number, run in enumerate(runs, 1) for line in _needed_files(number, run)]
    return [_introduction(runs), "", *commands, "", *files, *recipes]


def _introduction(runs: Sequence[Mapping[str, Any]]) -> str:
    reasons = dict.fromkeys(reason for run in runs for reason in _reasons_for_other_weights(run))
    many = len(runs) > 1
    if not reasons:
        what = "these commands reproduce" if many else "this command reproduces"
        return f"On the same machine with the same versions, {what} the weights:"
    what = "These commands train" if many else "This command trains"
    because = ", and because ".join(reasons)
    return f"{what} a similar model with other weights, because {because}:"


def _command(number: int, run: Mapping[str, Any]) -> str:
    recipe, name = run["recipe"], run["dataset"]
    processes, limit = run.get("processes", 1), _time_limit(run)
    conversion = conversion_from_dict(run)
    size = conversion.image_size
    options = {
        "recipe": _recipe_file(number) if _needs_file(recipe) else recipe["name"],
        "dataset": f"path/to/{name}" if _is_path(run) else name,
        **({"image-size": f"{size[0]}x{size[1]}"} if size else {}),
        "epochs": recipe.get("epochs", run["epochs"]),
        **({"precision": recipe["precision"]} if "precision" in recipe else {}),
        "seed": recipe["seed"],
        **({"device": run["device"]} if "device" in run else {}),
        "threads": run["threads"],
        **({"minutes": f"{limit / 60:.4g}"} if limit else {}),
        "run-dir": f"runs/step-{number}",
    }
    program = "cgan-train"
    if processes > 1:
        program = f"torchrun --nproc-per-node {processes} -m cgan_training"
    start_from = f" --start-from runs/step-{number - 1}" if number > 1 else ""
    words = (f" --{key} {shell_word(str(value))}" for key, value in options.items())
    grayscale = " --grayscale" if conversion.channels == 1 else ""
    return f"    {program}{start_from}{''.join(words)}{grayscale}"


def _reasons_for_other_weights(run: Mapping[str, Any]) -> list[str]:
    """Return the reasons why the command of a run does not reproduce its weights."""
    recipe, reasons = run["recipe"], []
    if _time_limit(run):
        reasons.append("the schedules of a run with --minutes depend on the machine's speed")
    elif run["epochs"] < recipe.get("epochs", run["epochs"]):
        reasons.append(f"the training ended after {run['epochs']} of {recipe['epochs']} epochs")
    if run.get("device", "cpu") != "cpu":
        reasons.append("only training on a CPU is reproducible")
    if run.get("resumed"):
        reasons.append(
            "the training was resumed after --minutes stopped it, or in another environment"
        )
    return reasons


def _time_limit(run: Mapping[str, Any]) -> float | None:
    """Return the time limit of --minutes in seconds, or None."""
    return run.get("seconds_limit") or run.get("stopped_after_seconds")


def _needed_files(number: int, run: Mapping[str, Any]) -> list[str]:
    """Return lines of text about the files that the command of a run needs."""
    lines = []
    if _needs_file(run["recipe"]):
        lines.append(f"Save the recipe of run {number} below as `{_recipe_file(number)}`.")
    if _is_path(run):
        folder = escape(run["dataset"])
        lines.append(
            f"The dataset {folder} is a folder or a file; replace `path/to` with the "
            "folder that contains it."
        )
    return [*lines, ""] if lines else []


def _is_path(run: Mapping[str, Any]) -> bool:
    return bool(run.get("dataset_is_folder", run["dataset"] not in DATASETS))


def _needs_file(recipe: Mapping[str, Any]) -> bool:
    """Return whether a recipe differs from the built-in one beyond epochs, precision and seed."""
    if recipe.get("name") not in recipe_names():
        return True
    options = {key: recipe[key] for key in ("epochs", "precision", "seed") if key in recipe}
    try:
        built_in = replace(load_recipe(recipe["name"]), **options)
        return recipe_from_dict(recipe, "the model file") != built_in
    except CganError:
        return True


def _recipe_file(number: int) -> str:
    return f"recipe-{number}.json"


def _recipe(recipe: Mapping[str, Any]) -> list[str]:
    name = f" {escape(str(recipe['name']))}" if "name" in recipe else ""
    return [
        f"The complete recipe{name}:",
        "",
        "```json",
        json.dumps({"recipe": dict(recipe)}, indent=2),
        "```",
        "",
    ]
