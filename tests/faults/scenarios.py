"""Small runs of the commands that write files, and checks that a file is complete."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from cgan_runtime import ImageGenerator
from cgan_runtime.diagnostics import speed
from cgan_runtime.model_file.contract import OPSET
from cgan_training.archive import load_archive

OLD = b"content of an older file\n"
RECIPE = """
name = "small"
noise_dim = 6
batch_size = 100
epochs = 2
min_images_per_epoch = 1
learning_rate = 2e-4
adam_betas = [0.9, 0.999]
seed = 0
generator = { kind = "perceptron", hidden = [8, 6] }
discriminator = { kind = "perceptron", hidden = [12], negative_slope = 0.2 }
loss = { kind = "logistic" }
"""


class CheckFailedError(Exception):
    """A file is incomplete, or a command's exit code or message is wrong."""


@dataclass(frozen=True)
class Scenario:
    """A command line and the files that exist before it runs."""

    command: click.Command
    arguments: tuple[str, ...]
    run: Path | None = None  # copied to the working folder, as "run"
    outputs: tuple[str, ...] = ()  # files with the content OLD
    patch_slow_part: Callable[[Path], object] | None = (
        None  # replaces a slow part that writes no files
    )


def scenarios(prepared: Path) -> dict[str, Scenario]:
    """Return every scenario by name, given the folder that prepare() filled."""
    from cgan_export.cli import evaluate, export
    from cgan_runtime.cli import run
    from cgan_training.cli import train

    images = ("--digits", "2026", "--seed", "7", "--threads", "1", "--output")
    recipe = ("--recipe", str(prepared / "small.toml"), "--dataset", "optdigits", "--threads", "1")
    card = ("run", "a.onnx", "--card")
    evaluation = ("run", "--quick", "--output", "pictures", "--cache-dir", "classifiers")
    resume = ("--resume", "run", "--data-dir", "nowhere")
    finished, unfinished = prepared / "run", prepared / "unfinished"
    return {
        "cgan-run to .png": Scenario(run.command, (*images, "a.png"), outputs=("a.png",)),
        "cgan-run to .npy": Scenario(run.command, (*images, "a.npy"), outputs=("a.npy",)),
        "cgan-export --card": Scenario(
            export.command, card, finished, ("a.onnx", "a.md", "a.png"), cache_trace
        ),
        "cgan-eval --output": Scenario(
            evaluate.command, evaluation, finished, patch_slow_part=cache_evaluation
        ),
        "cgan-train": Scenario(train.command, (*recipe, "--run-dir", "run", "--keep-every", "1")),
        "cgan-train --resume": Scenario(train.command, resume, unfinished),
    }


def prepare(folder: Path) -> None:
    """Write a finished run, an unfinished run and their recipe."""
    import torch

    from cgan_training import data
    from cgan_training.pictures.curves import draw_curves
    from cgan_training.recipe import load_recipe
    from cgan_training.run import RunOptions, artifacts, train

    # Replace functions that take long and write no files, before the commands import them.
    vars(speed)["measure_speed"] = lambda *_: speed.Speed(1.0, 1.0)
    vars(data)["load_dataset"] = cache(data.load_dataset)
    curves = draw_curves([], "")
    vars(artifacts)["draw_curves"] = lambda *_: curves

    torch.set_num_threads(1)
    (folder / "small.toml").write_text(RECIPE)
    recipe = load_recipe(str(folder / "small.toml"))
    dataset = data.load_dataset("optdigits", Path("nowhere"))[0]
    for name, seconds in (("run", None), ("unfinished", 1e-6)):
        options = RunOptions(seconds, dataset_argument="optdigits", data_dir="nowhere")
        train(recipe, dataset, folder / name, device=torch.device("cpu"), options=options)


def cache_trace(prepared: Path) -> None:
    """Trace the generator once, for every cgan-export."""
    from cgan_export import export
    from cgan_export.tracing.networks import RewrittenGenerator
    from cgan_export.tracing.trace import export_to_onnx
    from cgan_training.model_file import load_model

    generator = load_model(prepared / "run").generator
    graph = export_to_onnx(RewrittenGenerator(generator).eval(), OPSET)
    vars(export)["export_to_onnx"] = lambda *_: copy.deepcopy(graph)


def cache_evaluation(prepared: Path) -> None:
    """Evaluate the run once, for every cgan-eval. It still writes the classifier."""
    from cgan_export.evaluation import evaluator
    from cgan_export.evaluation.datasets import load_evaluation_data
    from cgan_export.evaluation.image_sources import open_source
    from cgan_training.evaluation import classifier

    vars(classifier)["train_classifier"] = lambda images, _labels, *, classes, **_: (
        classifier._untrained_classifier(classes, images).eval()
    )
    source = open_source(prepared / "run")
    real = evaluator.Evaluator(load_evaluation_data(source), prepared / "classifiers")
    quality = real.evaluate(source, quick=True)

    class FakeEvaluator(evaluator.Evaluator):
        def __init__(self, *arguments: Any) -> None:
            vars(self).update(vars(real))
            classifier.load_or_train_classifier(self.train, arguments[1])

        def evaluate(self, *_: Any, **__: Any) -> Any:
            return quality

    vars(evaluator)["Evaluator"] = FakeEvaluator


def check_complete(path: Path) -> None:
    """Raise CheckFailedError if a file lacks its expected end or cannot be read."""
    content = path.read_bytes()
    if content and not content.endswith(ENDINGS.get(path.suffix, b"")):
        raise CheckFailedError(f"{path} is incomplete: it ends with {content[-20:]!r}")
    try:
        READERS[path.suffix](path)
    except Exception as error:
        raise CheckFailedError(f"{path} is incomplete: {type(error).__name__}: {error}") from error


def _read_picture(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


READERS: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: json.loads(path.read_text()),
    ".jsonl": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
    ".md": Path.read_text,
    ".npy": lambda path: np.load(path, allow_pickle=False),
    ".onnx": lambda path: ImageGenerator(path, "cpu", threads=1).close(),
    ".png": _read_picture,
    ".pt": load_archive,
    ".webp": _read_picture,
}
ENDINGS = {
    ".json": b"}\n",
    ".jsonl": b"}\n",
    ".md": b"where errors matter.\n",
    ".png": b"IEND\xaeB`\x82",
}
