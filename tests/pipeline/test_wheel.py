"""What a user of the runtime gets: the wheel, in an environment of its own, without torch."""

import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
from PIL import Image

import cgan_runtime

LARGEST_BYTES = 400_000


@pytest.fixture(scope="module")
def scripts(runtime_environment: Callable[[str], Path]) -> Path:
    return runtime_environment(onnxruntime.__version__)


def test_the_wheel_is_small_and_holds_the_package_alone(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST_BYTES
    names = zipfile.ZipFile(wheel).namelist()
    assert "cgan_runtime/models/digits.onnx" in names
    assert "cgan_runtime/py.typed" in names
    assert not [name for name in names if name.endswith(".png")]
    assert {name.split("/")[0] for name in names} == {
        "cgan_runtime",
        f"cgan_runtime-{cgan_runtime.__version__}.dist-info",
    }


@pytest.mark.parametrize("module", ["torch", "torchvision", "onnx", "cgan_training", "cgan_export"])
def test_the_environment_has_no(scripts: Path, module: str) -> None:
    done = subprocess.run(
        [scripts / "python", "-c", f"import {module}"], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"ModuleNotFoundError" in done.stderr


def test_the_installed_command_draws_a_nine(scripts: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [scripts / "cgan-run", "--digit", "9"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (picture,) = tmp_path.iterdir()
    seed = picture.stem.removeprefix("digit-9-seed-")
    assert done.stdout == f"{picture.name}  seed {seed}\n"
    with Image.open(picture) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (28, 28))
        pixels = image.tobytes()
    assert min(pixels) == 0
    assert max(pixels) > 200


def test_the_installed_package_is_typed_and_draws(scripts: Path, tmp_path: Path) -> None:
    code = (
        "from cgan_runtime import DigitGenerator as D; g = D(threads=1);"
        "i = g.generate([2, 0, 2, 6], seed=7); print(i.shape, i.dtype, g.provider)"
    )
    done = subprocess.run(
        [scripts / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "(4, 1, 28, 28) uint8 cpu\n"
