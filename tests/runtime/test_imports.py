"""The public names, and how much it costs to import them."""

import subprocess
import sys
from pathlib import Path

import pytest

import cgan_runtime

HEAVY = {
    "torch",
    "torchvision",
    "onnx",
    "PIL",
    "numpy",
    "onnxruntime",
    "pyarrow",
    "ray",
    "multiprocessing",
}


def modules_after(code: str) -> set[str]:
    """Return the modules that a new interpreter has loaded after running some code."""
    report = "import sys; print('loaded', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def modules_of_command(*command: str, folder: Path) -> set[str]:
    """Return the modules that an installed command imports."""
    script = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [sys.executable, "-X", "importtime", script, *command[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.skip_under_coverage
@pytest.mark.parametrize(
    "code",
    [
        "import cgan_runtime",
        "from cgan_runtime import CganError, InputError, ModelInfo",
        "import cgan_runtime.cli.run",
    ],
)
def test_import_is_light(code: str) -> None:
    modules = modules_after(code)
    assert "cgan_runtime" in modules
    assert not modules & HEAVY


@pytest.mark.skip_under_coverage
@pytest.mark.parametrize("command", ["cgan-run", "cgan-check", "cgan-bulk"])
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_is_light(tmp_path: Path, command: str, option: str) -> None:
    modules = modules_of_command(command, option, folder=tmp_path)
    assert "cgan_runtime.cli.runner" in modules
    assert not modules & HEAVY


@pytest.mark.skip_under_coverage
def test_generating_one_image_imports_only_what_it_needs(tmp_path: Path) -> None:
    """Each of these modules would cost milliseconds or megabytes."""
    modules = modules_of_command("cgan-run", "--digit", "9", "--provider", "cpu", folder=tmp_path)
    assert {"cgan_runtime.images.writers", "numpy", "onnxruntime"} <= modules
    assert not modules & {
        "importlib.metadata",
        "gzip",
        "logging",
        "PIL",
        "torch",
        "onnx",
        "sklearn",
    }
    assert not modules & {"cgan_training", "cgan_export"}


def test_package_exports_its_public_names() -> None:
    for name in cgan_runtime.__all__:
        value = getattr(cgan_runtime, name)
        assert value.__name__ == name
        assert value.__module__.startswith("cgan_runtime.")


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'cgan_runtime' has no attribute 'Generator'"):
        _ = cgan_runtime.Generator
