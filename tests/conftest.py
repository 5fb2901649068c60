"""Fixtures that several stages' tests share."""

import dataclasses
import functools
import io
import json
import os
import signal
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from cgan_export import export_model
from cgan_runtime.cli import conventions
from cgan_runtime.model_file import graph_validation
from cgan_runtime.model_file.protobuf import read
from cgan_training.data import Dataset, load_dataset
from cgan_training.evaluation.classifier import load_or_train_classifier
from cgan_training.networks import PerceptronDiscriminator, PerceptronGenerator
from cgan_training.recipe.schema import BLOCKS, Recipe, load_recipe
from cgan_training.run import RunOptions, train

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / "runtime"
Command = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run an installed command in a folder of its own: command("cgan-run", "--digit", 9)."""

    def run(name: str, *arguments: object, **extra: str) -> "subprocess.CompletedProcess[bytes]":
        script = Path(sys.executable).with_name(name)
        return subprocess.run(
            [script, *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | extra,
            capture_output=True,
            check=False,
            timeout=300,
        )

    return run


COMMANDS = {  # the module of each command
    "cgan-run": "cgan_runtime.cli.run",
    "cgan-check": "cgan_runtime.cli.check",
    "cgan-bulk": "cgan_runtime.cli.bulk",
    "cgan-train": "cgan_training.cli.train",
    "cgan-export": "cgan_export.cli.export",
    "cgan-eval": "cgan_export.cli.evaluate",
}


def call_here(name: str, *words: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command in this process and folder, with streams as strict as a terminal's are."""
    streams = sys.stdout, sys.stderr
    out, said = io.BytesIO(), io.BytesIO()
    sys.stdout = io.TextIOWrapper(out, "utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(said, "utf-8", "backslashreplace", write_through=True)
    threads, answer = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    code: Any = None
    try:
        conventions.run(import_module(COMMANDS[name]).command, words)
    except SystemExit as left:
        code = left.code
    finally:
        sys.stdout.detach()
        sys.stderr.detach()
        sys.stdout, sys.stderr = streams
        signal.signal(signal.SIGTERM, answer)
        torch.set_num_threads(threads)
    return subprocess.CompletedProcess(words, code, out.getvalue(), said.getvalue())


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """As `command`, in this process, whose torch is loaded: call("cgan-run", "--digit", 9)."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: object, **extra: str) -> "subprocess.CompletedProcess[bytes]":
        with monkeypatch.context() as changed:
            for key, value in extra.items():
                changed.setenv(key, value)
            return call_here(name, *map(str, arguments))

    return run


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset("optdigits", Path("nowhere"))[0]


@pytest.fixture(scope="session")
def small_recipe() -> Recipe:
    """The classic recipe's shape, in miniature; noise_dim is no multiple of four."""
    return dataclasses.replace(
        load_recipe("seed"),
        name="small",
        noise_dim=10,
        generator=PerceptronGenerator(hidden=(32, 48)),
        discriminator=PerceptronDiscriminator(hidden=(48, 32), leaky_slope=0.2),
        epochs=2,
        epoch_images=1,
    )


@pytest.fixture
def recipe_file(tmp_path: Path) -> Callable[[Recipe], Path]:
    """Write a recipe as a TOML file named after it."""

    def write(recipe: Recipe) -> Path:
        path = tmp_path / f"{recipe.name}.toml"
        values = recipe.to_dict()
        tables = {key: values.pop(key) for key in BLOCKS}
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in values.items()]
        for name, table in tables.items():
            lines.append(f"[{name}]\n")
            lines += [f"{key} = {json.dumps(value)}\n" for key, value in table.items()]
        path.write_text("".join(lines))
        return path

    return write


@pytest.fixture
def small_toml(small_recipe: Recipe, recipe_file: Callable[[Recipe], Path]) -> Path:
    """The small recipe as a file."""
    return recipe_file(small_recipe)


@pytest.fixture(scope="session")
def run_dir(
    small_recipe: Recipe, digits: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run of the small recipe."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    train(
        small_recipe, digits, folder, device=torch.device("cpu"), options=RunOptions(keep_every=1)
    )
    return folder


@pytest.fixture(scope="session")
def judge_cache(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A --cache-dir with the judge of optdigits in it."""
    folder = tmp_path_factory.mktemp("judges")
    load_or_train_classifier(digits.images, digits.labels, classes=10, cache_dir=folder)
    return folder


@pytest.fixture(scope="session")
def onnx_file(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small run's model, exported."""
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    export_model(run_dir, path)
    return path


@pytest.fixture(scope="session")
def shapes_of() -> Callable[[bytes], dict[str, tuple[int, ...]]]:
    """Return the shapes that the runtime's screen finds in a file: those that onnx finds."""

    def follow(content: bytes) -> dict[str, tuple[int, ...]]:
        graph_validation.screen(content, "m.onnx")
        inferred = onnx.shape_inference.infer_shapes(
            onnx.ModelProto.FromString(content), strict_mode=True, data_prop=True
        )
        wanted = {
            each.name: tuple(
                graph_validation.FULL_BATCH if axis.dim_param else axis.dim_value
                for axis in each.type.tensor_type.shape.dim
            )
            for each in inferred.graph.value_info
        }
        shapes = graph_validation._followed(content, read(content, graph_validation._MODEL)).shapes
        assert len(wanted) > 3
        assert {name: shapes[name] for name in wanted} == wanted
        return shapes

    return follow


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime's wheel, built from the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", folder, RUNTIME)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def runtime_environment(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Make an environment with the wheel, one onnxruntime and no torch; returns its bin folder.

    It takes onnxruntime's version, or "gpu" for the release of onnxruntime-gpu in constraints.txt.
    """

    @functools.cache
    def make(onnxruntime: str) -> Path:
        folder = tmp_path_factory.mktemp("environment") / "env"
        venv.create(folder, with_pip=True)
        scripts = folder / ("Scripts" if os.name == "nt" else "bin")
        wanted = (
            [f"{wheel}[gpu]", "--constraint", ROOT / "constraints.txt"]
            if onnxruntime == "gpu"
            else [f"{wheel}[cpu]", f"onnxruntime=={onnxruntime}"]
        )
        pip(scripts / "python", "install", *wanted)
        return scripts

    return make


def pip(python: str | Path, *arguments: str | Path) -> None:
    subprocess.run(
        [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True
    )
