"""The commands that write files, in miniature, and what is a whole file."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

OLD = b"what was there before\n"


class WrongError(Exception):
    """A file is neither what it was nor a whole new one."""


@dataclass(frozen=True)
class Scenario:
    """A command line, and what it may leave."""

    command: click.Command
    arguments: tuple[str, ...]
    begin: Callable[[Path], object]  # fills the folder that it works in
    outputs: tuple[str, ...] = ()  # files that are there before, with OLD in them
    saves_on_term: bool = False  # a run that is told to end saves first


def scenarios(prepared: Path) -> dict[str, Scenario]:
    """Return every scenario by name.

    Args:
        prepared: a folder with a finished run in it, "run".
    """
    from cgan_export.cli import evaluate
    from cgan_export.cli import export as export_cli
    from cgan_runtime.cli import run as run_cli
    from cgan_training.cli import train as train_cli

    draw = ("--digits", "2026", "--seed", "7", "--threads", "1")
    run = prepared / "run"
    small = ("--recipe", str(prepared / "small.toml"), "--dataset", "optdigits", "--threads", "1")

    def nothing(_folder: Path) -> None:
        pass

    def with_run(folder: Path) -> None:
        shutil.copytree(run, folder / "run")

    def begun(folder: Path) -> None:
        """A run that is half done."""
        shutil.copytree(prepared / "begun", folder / "run")

    return {
        "cgan-run to .png": Scenario(
            run_cli.command, (*draw, "--output", "a.png"), nothing, ("a.png",)
        ),
        "cgan-run to .npy": Scenario(
            run_cli.command, (*draw, "--output", "a.npy"), nothing, ("a.npy",)
        ),
        "cgan-export --card": Scenario(
            export_cli.command,
            ("run", "a.onnx", "--card"),
            with_run,
            ("a.onnx", "a.md", "a.png"),
        ),
        "cgan-eval --output": Scenario(
            evaluate.command,
            ("run", "--quick", "--output", "pictures", "--cache-dir", "judges"),
            with_run,
        ),
        "cgan-train": Scenario(
            train_cli.command,
            (*small, "--run-dir", "run", "--keep-every", "1"),
            nothing,
            saves_on_term=True,
        ),
        "cgan-train --resume": Scenario(
            train_cli.command,
            ("--resume", "run", "--data-dir", "nowhere"),
            begun,
            saves_on_term=True,
        ),
    }


def make_cheap(prepared: Path) -> None:
    """Leave out what takes long and writes nothing."""
    from functools import cache

    from cgan_export.cli import report
    from cgan_export.evaluation import evaluator, model_card
    from cgan_export.evaluation.image_sources import open_source
    from cgan_runtime.diagnostics.speed import Speed
    from cgan_training import data
    from cgan_training.evaluation import classifier
    from cgan_training.pictures.curves import curves
    from cgan_training.run import artifacts

    vars(model_card)["measure_speed"] = vars(report)["measure_speed"] = lambda _: Speed(1.0, 1.0)
    vars(data)["load_dataset"] = vars(evaluator)["load_dataset"] = cache(data.load_dataset)
    drawn = curves([], "")  # matplotlib, once
    vars(artifacts)["curves"] = lambda _metrics, _title: drawn
    vars(classifier)["train_classifier"] = lambda images, _labels, *, classes, **_: (
        classifier._untrained(classes, images, 0).eval()
    )
    sound = evaluator.Evaluator("optdigits", Path("nowhere"), prepared / "judges", lambda _: None)
    examined = sound.evaluate(open_source(prepared / "run"), quick=True)

    class Cheap(evaluator.Evaluator):
        """Keeps the judge in its folder, and knows the answer."""

        def __init__(self, *arguments: Any) -> None:
            vars(self).update(vars(sound))
            images, labels = self.train.images, self.train.labels
            classifier.load_or_train_classifier(images, labels, classes=10, cache_dir=arguments[2])

        def evaluate(self, *_: Any, **__: Any) -> Any:
            return examined

    vars(evaluator)["Evaluator"] = Cheap


def prepare(folder: Path) -> None:
    """Make a finished run, one that is half done, and their recipe."""
    import torch

    from cgan_training.data import load_dataset
    from cgan_training.networks import PerceptronDiscriminator, PerceptronGenerator
    from cgan_training.recipe.schema import BLOCKS, load_recipe
    from cgan_training.run import RunOptions, train

    torch.set_num_threads(1)
    recipe = dataclasses.replace(
        load_recipe("seed"),
        name="small",
        epochs=2,
        epoch_images=1,
        noise_dim=6,
        generator=PerceptronGenerator(hidden=(8, 6)),
        discriminator=PerceptronDiscriminator(hidden=(12,), leaky_slope=0.2),
    )
    values = recipe.to_dict()
    tables = {key: values.pop(key) for key in BLOCKS}
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    (folder / "small.toml").write_text("\n".join(lines) + "\n")
    dataset = load_dataset("optdigits", Path("nowhere"))[0]
    for name, limit in (("run", None), ("begun", 1e-6)):
        train(
            recipe,
            dataset,
            folder / name,
            device=torch.device("cpu"),
            options=RunOptions(seconds_limit=limit, found_by=("optdigits", "nowhere")),
            say=lambda _line: None,
        )


def require_whole(path: Path) -> None:
    """Check that a file can be read to its end.

    Raises:
        WrongError: it cannot.
    """
    try:
        _read_whole(path)
    except Exception as error:
        raise WrongError(f"{path} is half: {type(error).__name__}: {error}") from error


def _read_whole(path: Path) -> None:
    content = path.read_bytes()
    end = ENDS.get(path.suffix, b"")
    if content and not content.endswith(end):
        raise ValueError(f"it ends in {content[-20:]!r}")
    READERS[path.suffix](path)


def _picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()


def _array(path: Path) -> None:
    import numpy as np

    np.load(path, allow_pickle=False)


def _onnx(path: Path) -> None:
    from cgan_runtime import ImageGenerator

    ImageGenerator(path, "cpu", threads=1).close()


def _archive(path: Path) -> None:
    from cgan_training.archive import load_archive

    load_archive(path)


def _lines(path: Path) -> None:
    for line in path.read_text().splitlines():
        json.loads(line)


READERS: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: json.loads(path.read_text()),
    ".jsonl": _lines,
    ".md": Path.read_text,
    ".npy": _array,
    ".onnx": _onnx,
    ".png": _picture,
    ".pt": _archive,
    ".webp": _picture,
}
ENDS = {
    ".png": b"IEND\xaeB`\x82",
    ".json": b"}\n",
    ".jsonl": b"}\n",
    ".md": b"where errors matter.\n",
}
