"""Who imports what, and what it costs to be imported."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cgan_runtime

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "onnx", "PIL", "numpy", "onnxruntime")
PUBLIC = [
    "CganError",
    "ImageGenerator",
    "Golden",
    "InputError",
    "InstallError",
    "ModelError",
    "ModelInfo",
    "OutputError",
    "ProviderError",
]
FOREIGN = {
    "runtime": {"torch", "torchvision", "onnx", "sklearn", "cgan_training", "cgan_export"},
    "training": {"cgan_runtime", "cgan_export", "onnxruntime"},
}
COMMAND = """
from cgan_runtime.cli.run import command
try:
    command.main({arguments!r}, prog_name="cgan-run")
except SystemExit as left:
    assert not left.code, left.code
else:
    raise AssertionError("it went on")
"""


def loaded_by(code: str) -> set[str]:
    """Return the packages that a fresh interpreter has loaded after the code."""
    report = "import sys; print('loaded', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def imported_by(path: Path) -> set[str]:
    """Return the packages that a source file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package / "src").rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize(
    "code",
    [
        "import cgan_runtime",
        "from cgan_runtime import CganError, InputError, ModelInfo",
        "import cgan_runtime.cli.run",
        COMMAND.format(arguments=["--help"]),
        COMMAND.format(arguments=["--version"]),
    ],
    ids=["package", "errors", "cli", "--help", "--version"],
)
def test_what_does_not_draw_imports_nothing_heavy(code: str) -> None:
    loaded = loaded_by(code)
    assert "cgan_runtime" in loaded
    assert not loaded.intersection(HEAVY)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_command_imports_nothing_heavy(option: str) -> None:
    script = Path(sys.executable).with_name("cgan-run")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", script, option],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "cgan_runtime.cli.run" in loaded
    assert not {name.partition(".")[0] for name in loaded}.intersection(HEAVY)


@pytest.mark.uncovered
def test_a_digit_imports_nothing_that_it_can_do_without(tmp_path: Path) -> None:
    """Each of these costs a start milliseconds or megabytes."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", Path(sys.executable).with_name("cgan-run"),
         "--digit", "9", "--provider", "cpu"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"cgan_runtime.images.writers", "numpy", "onnxruntime"} <= loaded
    for name in ("PIL", "numpy.random", "importlib.metadata", "hashlib", "secrets", "gzip"):
        assert name not in loaded


def test_drawing_imports_no_training_and_no_exporter(tiny_model: Path) -> None:
    loaded = loaded_by(
        "from cgan_runtime import ImageGenerator\n"
        f"ImageGenerator({str(tiny_model)!r}, 'cpu').generate(3, seed=0)"
    )
    assert {"numpy", "onnxruntime"} <= loaded
    assert not loaded & FOREIGN["runtime"]


def test_the_public_names() -> None:
    assert cgan_runtime.__all__ == PUBLIC
    for name in PUBLIC:
        value = getattr(cgan_runtime, name)
        assert value.__name__ == name
        assert value.__module__.startswith("cgan_runtime.")


def test_every_public_name_can_be_imported_with_a_star() -> None:
    names: dict[str, object] = {}
    exec("from cgan_runtime import *", names)
    assert set(PUBLIC) <= set(names)


@pytest.mark.parametrize("name", ["Generator", "np", "_Golden", "__wrapped__"])
def test_an_unknown_name(name: str) -> None:
    with pytest.raises(AttributeError, match=f"'cgan_runtime' has no attribute '{name}'"):
        getattr(cgan_runtime, name)


def test_one_tree_of_errors() -> None:
    errors = [getattr(cgan_runtime, name) for name in PUBLIC if name.endswith("Error")]
    assert len(errors) == 6
    assert all(issubclass(each, cgan_runtime.CganError) for each in errors)
    assert issubclass(cgan_runtime.InputError, ValueError)


def test_a_python_that_checks_types_finds_them() -> None:
    assert (Path(cgan_runtime.__file__).with_name("py.typed")).is_file()


@pytest.mark.parametrize(
    ("package", "path"),
    [(package, path) for package in FOREIGN for path in sources(package)],
    ids=lambda value: value.name if isinstance(value, Path) else str(value),
)
def test_a_stage_imports_no_stage_after_or_beside_it(package: str, path: Path) -> None:
    assert not imported_by(path) & FOREIGN[package]
