"""The summary that cgan-train prints after a run: metrics, pictures and the next commands."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from cgan_training.recipe import CustomGeneratorSettings

if TYPE_CHECKING:
    from cgan_training.recipe import Recipe

PICTURES = ("grid.png", "samples.webp", "curves.png")


def summary_lines(model: Path, recipe: "Recipe") -> list[str]:
    """Return the lines of the summary.

    Args:
        model: the run's model.pt.
        recipe: the recipe of the run.
    """
    from tqdm import tqdm

    from cgan_training.run import read_metrics

    folder, onnx = model.parent, model.with_suffix(".onnx")
    last = read_metrics(folder)[-1]
    accuracy = last.get("label_accuracy")
    quality = "" if accuracy is None else f", label accuracy {accuracy:.2%}"
    seconds = tqdm.format_interval(round(last["seconds"]))
    losses = f"loss G {last['loss_generator']:.3f} D {last['loss_discriminator']:.3f}"
    paths = [folder / name for name in PICTURES if (folder / name).exists()]
    pictures = ", ".join(shlex.quote(str(path)) for path in paths)
    export = ["cgan-export"]
    if isinstance(recipe.generator, CustomGeneratorSettings):
        export += ["--generator", recipe.generator.kind]
    return [
        f"finished after {seconds} in epoch {last['epoch']}/{recipe.epochs}: {losses}{quality}",
        f"pictures: {pictures or 'none'}",
        "next:",
        f"  {shlex.join([*export, _word(model), _word(onnx)])}",
        f"  {shlex.join(['cgan-run', '--model', _word(onnx)])}",
    ]


def _word(path: Path) -> str:
    """Return the path as an argument that no command parses as an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)
