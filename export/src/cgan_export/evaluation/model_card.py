"""The model card: what a file is, in words, from the facts that its metadata hold.

Its sections are those of Mitchell et al. 2019, as far as they have something to say of digits.
"""

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch

from cgan_export.evaluation.image_sources import open_onnx_source
from cgan_runtime import ImageGenerator
from cgan_runtime.cli.conventions import printable
from cgan_runtime.diagnostics.speed import measure_speed
from cgan_runtime.model_file.contract import ModelInfo
from cgan_training.pictures.sample_sheet import sheet

ROWS = 10  # of the sheet
# What the figures are called, in the order of the table.
FIGURES = {
    "label_accuracy": "label accuracy",
    "worst_label_accuracy": "label accuracy of the worst label",
    "frechet": "Fréchet distance from the test set",
    "frechet_by_class": "Fréchet distance by class",
    "frechet_train": "Fréchet distance from the training set",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "memorised": "memorised",
    "judge_accuracy": "the judge's own accuracy on the real test set",
}


def card_of(path: Path, picture: str) -> str:
    """Return the Markdown model card of an exported file.

    Args:
        path: the file.
        picture: where the card finds its sheet.
    """
    content, name = path.read_bytes(), printable(path.name)
    with ImageGenerator(path, provider="cpu", threads=1) as generator:
        info, speed = generator.info, measure_speed(generator)
    runs = _runs(info)
    facts = {
        "file": f"`{name}`, {len(content):,} bytes",
        "SHA-256 of the file": f"`{hashlib.sha256(content).hexdigest()}`",
        "SHA-256 of the trained weights": f"`{info.weights_sha256}`",
        "precision": info.precision,
        "speed": f"{speed.latency * 1e6:.0f} µs for one image, {speed.throughput:,.0f} images/s in "
        f"bulk: one thread of {platform.machine()} with {torch.backends.cpu.get_cpu_capability()}",
        "noise vector": f"{info.noise_dim} standard normal numbers an image",
        "drawn image": f"{info.height} x {info.width} pixels, 0 background .. 255 ink",
        "classes": ", ".join(info.class_names),
    }
    training = {
        "data set": info.dataset,
        "recipe": info.recipe.get("name", "unknown"),
        "seed": info.recipe.get("seed", "unknown"),
        **{
            key: f"{value:,}" if isinstance(value, int) else value
            for key, value in info.training.items()
            if key != "start"
        },
        **_before(runs[:-1]),
        **{f"{name}": version for name, version in info.versions.items()},
    }
    return "\n".join(
        [
            f"# {name}",
            "",
            "A conditional generator (Mirza & Osindero 2014): it draws an image of the class it is",
            "asked for. This card is written by `cgan-export --card` from the file's own metadata.",
            "",
            f"![Generated images, a class a column]({quote(os.fsencode(picture))})",
            "",
            "## The file",
            "",
            *_table(facts),
            "",
            "## Training",
            "",
            *_table(training),
            "",
            *_commands(runs),
            *[line for run in runs for line in _recipe(run["recipe"])],
            "## Quality",
            "",
            *_quality(info),
            "",
            "## Proven",
            "",
            *_table(info.verification),
            "",
            "Differences are in grey levels of 255 from the trained network, with the same noise.",
            "",
            "## Limits",
            "",
            f"It knows {info.dataset} and nothing else: these classes, this size, centred, one an",
            "image. It copies that set's habits and gaps. Drawn images are no substitute for real",
            "ones where errors matter.",
            "",
        ]
    )


def _runs(info: ModelInfo) -> list[Mapping[str, Any]]:
    """Return the run that ended in the model, after those that it started from, if any."""
    runs: list[Mapping[str, Any]] = [
        {**info.training, "recipe": dict(info.recipe), "dataset": info.dataset}
    ]
    while "start" in runs[0]:
        runs.insert(0, runs[0]["start"])
    return runs


def _before(runs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return a line of the table for what the last run started from, if anything."""
    before = "; ".join(
        f"{run['recipe']['name']}, {run['epochs']:,} epochs of {run['dataset']}, "
        f"{run['seconds']} seconds"
        for run in runs
    )
    return {"started from": before} if before else {}


def _commands(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what trains it again, where the metadata know it all."""
    lines, start = [], ""
    for number, run in enumerate(runs, 1):
        try:
            words = {
                "recipe": run["recipe"]["name"],
                "dataset": run["dataset"],
                "epochs": run["epochs"],
                "seed": run["recipe"]["seed"],
                "threads": run["threads"],
            }
        except KeyError:
            return []
        flags = "".join(f" --{key} {value}" for key, value in words.items())
        lines.append(f"    cgan-train{start}{flags} --run-dir runs/step-{number}")
        start = f" --start-from runs/step-{number}"
    what = "commands give" if len(lines) > 1 else "command give"
    return [f"The same machine, versions and {what} the same weights:", "", *lines, ""]


def _recipe(recipe: Mapping[str, Any]) -> list[str]:
    name = f" of {recipe['name']}" if "name" in recipe else ""
    return [
        f"The whole recipe{name}:",
        "",
        "```json",
        json.dumps(dict(recipe), indent=2),
        "```",
        "",
    ]


def sheet_of(path: Path) -> bytes:
    """Return a PNG: ten images of each class, drawn with the file."""
    drawer = open_onnx_source(path)
    classes = len(drawer.class_names)
    images = drawer.draw(torch.arange(classes).repeat(ROWS))
    return sheet(images, drawer.class_names, f"{printable(path.name)}, a class a column")


def _quality(info: ModelInfo) -> list[str]:
    figures = {FIGURES[key]: info.quality[key] for key in FIGURES if key in info.quality}
    if not figures:
        return ["Not measured; `cgan-export --judge` does it."]
    return [
        "Of images drawn with this file, by a judge trained on the real training set (`cgan-eval`",
        "says what each figure is; the real test set's total variance is 100):",
        "",
        *_table(figures),
    ]


def _table(rows: Mapping[str, Any]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
