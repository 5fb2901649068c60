"""Fixtures that the tests of several packages share."""

import dataclasses
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Generator
from importlib import import_module
from pathlib import Path
from typing import Any

import onnx
import pytest

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as in prepare_for_torch(), for busy machines

import torch

from cgan_export import export_model
from cgan_runtime.cli import runner
from cgan_runtime.model_file import contract
from cgan_runtime.model_file.validation import graph_validation
from cgan_training.data import Dataset, load_dataset
from cgan_training.evaluation.classifier import load_or_train_classifier
from cgan_training.recipe import (
    TABLES,
    PerceptronDiscriminatorSettings,
    PerceptronGeneratorSettings,
    Recipe,
    load_recipe,
)
from cgan_training.run import RunOptions, train

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / "runtime"
Command = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run an installed command as a subprocess in tmp_path: command("cgan-run", "--digit", 9)."""

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


COMMAND_MODULES = {
    "cgan-run": "cgan_runtime.cli.run",
    "cgan-check": "cgan_runtime.cli.check",
    "cgan-bulk": "cgan_runtime.cli.bulk",
    "cgan-train": "cgan_training.cli.train",
    "cgan-export": "cgan_export.cli.export",
    "cgan-eval": "cgan_export.cli.evaluate",
}


def run_in_process(name: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command in this process, with output streams that encode as a terminal's do."""
    streams = sys.stdout, sys.stderr
    stdout, stderr = io.BytesIO(), io.BytesIO()
    sys.stdout = io.TextIOWrapper(stdout, "utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(stderr, "utf-8", "backslashreplace", write_through=True)
    threads = torch.get_num_threads()
    code: Any = None
    try:
        runner.run(import_module(COMMAND_MODULES[name]).command, arguments)
    except SystemExit as exiting:
        code = exiting.code
    finally:
        sys.stdout.detach()
        sys.stderr.detach()
        sys.stdout, sys.stderr = streams
        torch.set_num_threads(threads)
    return subprocess.CompletedProcess(arguments, code, stdout.getvalue(), stderr.getvalue())


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command as `command` does, but in this process, where torch is already imported."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: object, **extra: str) -> "subprocess.CompletedProcess[bytes]":
        with monkeypatch.context() as patch:
            for key, value in extra.items():
                patch.setenv(key, value)
            return run_in_process(name, *map(str, arguments))

    return run


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset("optdigits", Path("nowhere"))[0]


@pytest.fixture(scope="session")
def small_recipe() -> Recipe:
    """The classic recipe with a tiny network; its noise_dim is not a multiple of four."""
    return dataclasses.replace(
        load_recipe("classic"),
        name="small",
        noise_dim=10,
        generator=PerceptronGeneratorSettings(hidden=(32, 48)),
        discriminator=PerceptronDiscriminatorSettings(hidden=(48, 32), negative_slope=0.2),
        epochs=2,
        min_images_per_epoch=1,
    )


@pytest.fixture
def recipe_file(tmp_path: Path) -> Callable[[Recipe], Path]:
    """Write a recipe to a TOML file that has the recipe's name."""

    def write(recipe: Recipe) -> Path:
        path = tmp_path / f"{recipe.name}.toml"
        values = recipe.to_dict()
        tables = {key: values.pop(key) for key in TABLES}
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in values.items()]
        for name, table in tables.items():
            lines.append(f"[{name}]\n")
            lines += [f"{key} = {json.dumps(value)}\n" for key, value in table.items()]
        path.write_text("".join(lines))
        return path

    return write


@pytest.fixture
def small_toml(small_recipe: Recipe, recipe_file: Callable[[Recipe], Path]) -> Path:
    """The small recipe as a TOML file."""
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


@pytest.fixture
def run_copy(run_dir: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, at tmp_path / "run"."""
    return Path(shutil.copytree(run_dir, tmp_path / "run"))


@pytest.fixture(scope="session")
def classifier_cache(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A --cache-dir that holds the evaluation classifier of optdigits."""
    folder = tmp_path_factory.mktemp("classifiers")
    for path in (ROOT / "benchmarks" / "models").glob("classifier-*.pt"):
        shutil.copy(path, folder)  # saves the training if the resampled digits are the same
    load_or_train_classifier(digits, folder)
    return folder


@pytest.fixture(scope="session")
def onnx_file(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported model of the small run."""
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    export_model(run_dir, path)
    return path


@pytest.fixture(scope="session")
def shapes_of() -> Callable[[bytes], dict[str, tuple[int, ...]]]:
    """Return the shapes that graph validation infers, and check that onnx infers the same."""

    def infer(content: bytes) -> dict[str, tuple[int, ...]]:
        graph_validation.validate_model(content, "m.onnx")
        tensors = graph_validation.validate_graph(content).tensors
        shapes = {name: info.tensor.shape_for(contract.MAX_BATCH) for name, info in tensors.items()}
        model = onnx.shape_inference.infer_shapes(
            onnx.ModelProto.FromString(content), strict_mode=True, data_prop=True
        )
        assert len(model.graph.value_info) > 3
        for value in model.graph.value_info:
            axes = value.type.tensor_type.shape.dim
            shape = [contract.MAX_BATCH if axis.dim_param else axis.dim_value for axis in axes]
            assert shapes[value.name] == tuple(shape), value.name
        return shapes

    return infer


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime's wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", folder, RUNTIME)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def runtime_environment(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Create an environment with the wheel and onnxruntime but no torch; return its bin folder.

    The argument is onnxruntime's version, or "gpu" for onnxruntime-gpu as constraints.txt pins it.
    """

    @functools.cache
    def make(onnxruntime: str) -> Path:
        folder = tmp_path_factory.mktemp("environment") / "env"
        venv.create(folder, with_pip=True)
        scripts = folder / ("Scripts" if os.name == "nt" else "bin")
        requirements = (
            [f"{wheel}[gpu]", "--constraint", ROOT / "constraints.txt"]
            if onnxruntime == "gpu"
            else [f"{wheel}[cpu]", f"onnxruntime=={onnxruntime}"]
        )
        pip(scripts / "python", "install", *requirements)
        return scripts

    return make


def pip(python: str | Path, *arguments: str | Path) -> None:
    subprocess.run(
        [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape lone surrogates in captured output and logs: pytest-xdist cannot send them."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report
