"""Fixtures that the tests of several packages share."""

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as in prepare_for_torch(), for busy machines

import torch
from commands import Command, run_in_process

from cgan_export import export_model
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


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Like `command`, but run in this process, which saves the import of torch."""
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
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime's wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", folder, RUNTIME)
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
        venv.create(folder)  # without pip, which takes seconds to install
        scripts = folder / ("Scripts" if os.name == "nt" else "bin")
        requirements = (
            [f"{wheel}[gpu]", "--constraint", ROOT / "constraints.txt"]
            if onnxruntime == "gpu"
            else [f"{wheel}[cpu]", f"onnxruntime=={onnxruntime}"]
        )
        pip("--python", scripts / "python", "install", *requirements)
        return scripts

    return make


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *arguments], check=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape lone surrogates in captured output and logs: pytest-xdist cannot send them."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report
