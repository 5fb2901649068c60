"""Write the model card: a description of an exported file in Markdown, from its metadata.

Its sections follow Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

import os
import platform
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import torch

from cgan_export.evaluation.image_sources import onnx_source
from cgan_export.evaluation.markdown import code, escape, format_value, table
from cgan_export.evaluation.metrics import METRICS
from cgan_export.evaluation.reproduction import reproduction, training_runs
from cgan_runtime import ImageGenerator
from cgan_runtime.diagnostics.speed import Speed
from cgan_runtime.errors import printable
from cgan_runtime.model_file.contract import ModelInfo
from cgan_training.pictures.sample_sheet import draw_sample_sheet

SHEET_ROWS = 10
VERIFICATION_TITLES = {  # titles of the verification results by key
    "max_pixel_error": "max pixel error vs PyTorch",
    "mean_pixel_error": "mean pixel error vs PyTorch",
    "images": "images compared",
    "quality_gate": "quality gate",
    "label_accuracy_change": "change of the label accuracy",
    "label_accuracy_images": "images that the quality gate compared",
}
TRAINING_TITLES = {  # titles of the training record by key
    "dataset_sha256": "SHA-256 of the dataset",
    "stopped_after_seconds": "seconds until --minutes stopped the training",
    "seconds_limit": "time limit of --minutes in seconds",
    "recipe_file": "recipe file",
}


def model_card(generator: ImageGenerator, speed: Speed, picture: str | None) -> str:
    """Return the model card of an exported file in Markdown.

    Args:
        generator: the exported file.
        speed: its speed on one thread.
        picture: file name of the sample sheet that the card links to, or None.
    """
    info, name = generator.info, generator.model_path.name
    runs = training_runs(info)
    link = quote(os.fsencode(picture)) if picture else ""
    file_facts = {
        "file": f"{code(name)}, {generator.model_path.stat().st_size:,} bytes",
        "SHA-256 of the file": f"`{generator.model_sha256}`",
        "SHA-256 of the trained weights": code(info.weights_sha256),
        "precision": escape(info.precision),
        "speed": f"{speed.latency * 1e6:.0f} µs for one image, {speed.throughput:,.0f} images/s in "
        f"batches; one thread on {platform.machine()} with "
        f"{torch.backends.cpu.get_cpu_capability()}",
        "noise vector": f"{info.noise_dim} standard normal numbers per image",
        "generated image": f"{info.height} x {info.width} pixels, "
        f"{'gray' if info.channels == 1 else 'RGB'}, 0 black .. 255 white",
        "classes": escape(", ".join(info.class_names)),
    }
    training_facts = {
        "dataset": info.dataset or "unknown",
        **_origin(info),
        **{
            TRAINING_TITLES.get(key, key): value
            for key, value in info.training.items()
            if key not in ("started_from", "dataset_is_folder")
        },
        **({"started from": "; ".join(map(_summary, runs[:-1]))} if runs[1:] else {}),
        **info.versions,
    }
    return "\n".join(
        [
            f"# {escape(name)}",
            "",
            "A conditional generator (Mirza & Osindero 2014): it generates images of the requested",
            "class. `cgan-export --card` wrote this card from the file's metadata and its measured",
            "speed.",
            "",
            *([f"![Generated images, one class per column]({link})", ""] if link else []),
            "## The file",
            "",
            *table(file_facts),
            "",
            "## Training",
            "",
            *table({escape(key): format_value(value) for key, value in training_facts.items()}),
            "",
            *reproduction(runs),
            "## Quality",
            "",
            *_quality(info),
            "",
            "## Verification",
            "",
            *table(
                {
                    VERIFICATION_TITLES.get(key, escape(key)): format_value(value)
                    for key, value in info.verification.items()
                }
            ),
            "",
            "Pixel errors are on the scale 0 to 255. PyTorch and the file got the same noise.",
            "",
            "## Limits",
            "",
            f"The model was trained on {escape(info.dataset or 'unknown images')} only.",
            "It generates the classes and the image size in the first table, and reproduces the",
            "biases and gaps of that dataset. Do not use generated images in place of real ones",
            "where errors matter.",
            "",
        ]
    )


def sample_sheet(generator: ImageGenerator) -> bytes:
    """Return a PNG with ten generated images of each class."""
    source = onnx_source(generator)
    images = source.generate(torch.arange(len(source.class_names)).repeat(SHEET_ROWS))
    title = f"{printable(generator.model_path.name)}, one class per column"
    return draw_sample_sheet(images, source.class_names, title)


def _summary(run: Mapping[str, Any]) -> str:
    dataset, seconds = run["dataset"], run["seconds"]
    return f"{run['recipe']['name']}, {run['epochs']:,} epochs of {dataset}, {seconds} seconds"


def _origin(info: ModelInfo) -> dict[str, object]:
    """Return the name of a user's module, or the recipe and seed of cgan-train."""
    if "module" in info.recipe:
        return {"network": info.recipe["module"]}
    recipe, seed = (info.recipe.get(key, "unknown") for key in ("name", "seed"))
    return {"recipe": recipe, "seed": seed}


def _quality(info: ModelInfo) -> list[str]:
    values = {METRICS[key].title: info.quality[key] for key in METRICS if key in info.quality}
    if not values:
        return ["Not measured; `cgan-export --evaluate` measures it."]
    return [
        "Measured on images generated with this file, by a classifier trained on the real training",
        "set. Fréchet distances are scaled so that the total variance of the real test set is 100.",
        "",
        *table({title: format_value(value) for title, value in values.items()}),
    ]
