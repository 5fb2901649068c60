"""What a user of the runtime gets: the wheel, in an environment of its own, without torch."""

import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import cgan_runtime
from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import OLDEST_ONNXRUNTIME

LARGEST_BYTES = 400_000
LARGEST_WITHOUT_MODEL = 70_000  # of which cgan-bulk takes 16,000
BUILDS = (f"{OLDEST_ONNXRUNTIME}.0", onnxruntime.__version__, "gpu")


@pytest.fixture(scope="module", params=BUILDS)
def scripts(runtime_environment: Callable[[str], Path], request: pytest.FixtureRequest) -> Path:
    """With the oldest onnxruntime, the newest, and the build for CUDA, which is not there."""
    return runtime_environment(request.param)


@pytest.fixture(scope="module")
def gpu_scripts(runtime_environment: Callable[[str], Path]) -> Path:
    return runtime_environment("gpu")


def run(*arguments: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_wheel_is_small_and_holds_the_package_alone(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST_BYTES
    files = zipfile.ZipFile(wheel).infolist()
    names = [file.filename for file in files]
    bare = sum(file.compress_size for file in files if not file.filename.endswith(".onnx"))
    assert bare < LARGEST_WITHOUT_MODEL
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
    done = run(scripts / "cgan-run", "--digit", 9, "--provider", "cpu", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (picture,) = tmp_path.iterdir()
    seed = picture.stem.removeprefix("digit-9-seed-")
    assert done.stdout == f"{picture.name}  seed {seed}\n"
    with Image.open(picture) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (28, 28))
        drawn = np.asarray(image)
    with ImageGenerator() as generator:  # int8: the same bytes in every onnxruntime
        np.testing.assert_array_equal(drawn, generator.generate(9, seed=int(seed))[0, 0])


def test_the_installed_check_passes(scripts: Path, tmp_path: Path) -> None:
    done = run(scripts / "cgan-check", "--provider", "cpu", "--json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["passed"] is True
    assert found["golden"]["largest_difference"] == 0
    assert found["versions"]["onnxruntime"] in (*BUILDS, *found["installed"].values())


def test_the_installed_package_is_typed_and_draws(scripts: Path, tmp_path: Path) -> None:
    code = (
        "from cgan_runtime import ImageGenerator as D; g = D(threads=1, provider='cpu');"
        "i = g.generate([2, 0, 2, 6], seed=7); print(i.shape, i.dtype, g.provider)"
    )
    done = run(scripts / "python", "-c", code, folder=tmp_path)
    assert done.stdout == "(4, 1, 28, 28) uint8 cpu\n"


def test_cuda_where_there_is_no_gpu(gpu_scripts: Path, tmp_path: Path) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has one: make test-gpu")
    done = run(gpu_scripts / "cgan-run", "--digit", 9, "--provider", "cuda", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: onnxruntime offers CUDAExecutionProvider, but the session did not get it: NVIDIA's "
        "driver is missing (libcuda.so.1); install it, or use --provider cpu\n"
    )
    assert not list(tmp_path.iterdir())


def test_auto_where_there_is_no_gpu(gpu_scripts: Path, tmp_path: Path) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has one: make test-gpu")
    done = run(gpu_scripts / "cgan-run", "--digit", 9, "--seed", 1, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "digit-9-seed-1.png  seed 1\n")
    assert done.stderr.startswith("note: drawing on the CPU: onnxruntime offers CUDAExecution")
    assert done.stderr.count("\n") == 1
    done = run(gpu_scripts / "cgan-check", "--json", folder=tmp_path)
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert found["provider"] == "cpu"
    assert "NVIDIA's driver is missing" in found["not_cuda"]


def test_both_wheels_at_once_are_told(
    runtime_environment: Callable[[str], Path], tmp_path: Path
) -> None:
    """As after `pip install onnxruntime` beside onnxruntime-gpu: only their names matter here."""
    scripts = runtime_environment(onnxruntime.__version__)
    (folder,) = (scripts.parent / "lib").glob("python*/site-packages")
    beside = folder / "onnxruntime_gpu-1.0.dist-info"
    beside.mkdir()
    (beside / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.0\n")
    try:
        done = run(scripts / "cgan-run", "--digit", 9, "--provider", "cuda", folder=tmp_path)
        assert "are both installed and the former overwrote the latter; pip" in done.stderr
        assert done.returncode == 1
        done = run(scripts / "cgan-check", folder=tmp_path)
        assert "onnxruntime-gpu 1.0: one too many, they share a folder" in done.stdout
    finally:
        (beside / "METADATA").unlink()
        beside.rmdir()
