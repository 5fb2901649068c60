"""The runtime's wheel, installed in an environment of its own without PyTorch."""

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
from cgan_runtime.model_file.contract import MIN_ONNXRUNTIME

MAX_BYTES, MAX_BYTES_WITHOUT_MODEL = 400_000, 70_000
BUILDS = (f"{MIN_ONNXRUNTIME}.0", onnxruntime.__version__, "gpu")
Environment = Callable[[str], Path]


@pytest.fixture(scope="module", params=BUILDS)
def scripts(runtime_environment: Environment, request: pytest.FixtureRequest) -> Path:
    """The oldest onnxruntime, the newest, and the CUDA build on a machine without CUDA."""
    return runtime_environment(request.param)


def run(*words: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*map(str, words)], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_wheel_is_small_and_contains_only_the_package(wheel: Path) -> None:
    assert wheel.stat().st_size < MAX_BYTES
    files = zipfile.ZipFile(wheel).infolist()
    without_model = [file for file in files if not file.filename.endswith(".onnx")]
    assert sum(file.compress_size for file in without_model) < MAX_BYTES_WITHOUT_MODEL
    names = [file.filename for file in files]
    assert {"cgan_runtime/models/digits.onnx", "cgan_runtime/py.typed"} <= {*names}
    assert not [name for name in names if name.endswith(".png")]
    assert {name.split("/")[0] for name in names} == {
        "cgan_runtime",
        f"cgan_runtime-{cgan_runtime.__version__}.dist-info",
    }


def test_the_environment_contains_no_training_packages(scripts: Path, tmp_path: Path) -> None:
    modules = ("torch", "torchvision", "onnx", "cgan_training", "cgan_export")
    code = f"from importlib.util import find_spec; print([*filter(find_spec, {modules})])"
    assert run(scripts / "python", "-c", code, folder=tmp_path).stdout == "[]\n"


def test_the_installed_command_generates_an_image(scripts: Path, tmp_path: Path) -> None:
    done = run(scripts / "cgan-run", "--digit", 9, "--provider", "cpu", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (picture,) = tmp_path.iterdir()
    seed = picture.stem.removeprefix("digit-9-seed-")
    assert done.stdout == f"{picture.name}  seed {seed}\n"
    with Image.open(picture) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (28, 28))
        pixels = np.asarray(image)
    with ImageGenerator() as generator:  # int8: the same bytes in every onnxruntime
        np.testing.assert_array_equal(pixels, generator.generate(9, seed=int(seed))[0, 0])


def test_the_installed_check_passes(scripts: Path, tmp_path: Path) -> None:
    done = run(scripts / "cgan-check", "--provider", "cpu", "--json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["passed"] is True
    assert report["golden"]["largest_difference"] == 0
    assert report["versions"]["onnxruntime"] in (*BUILDS, *report["installed"].values())


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a GPU: run make test-gpu")
def test_the_cuda_build_without_a_gpu_reports_why_cuda_is_missing(
    runtime_environment: Environment, tmp_path: Path
) -> None:
    scripts = runtime_environment("gpu")
    generate = (scripts / "cgan-run", "--digit", 9, "--seed", 1)
    done = run(*generate, "--provider", "cuda", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: onnxruntime offers CUDAExecutionProvider, but the session did not get it: NVIDIA's "
        "driver is missing (libcuda.so.1); install it, or use --provider cpu\n"
    )
    done = run(*generate, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "digit-9-seed-1.png  seed 1\n")
    assert "generating on the CPU: onnxruntime offers CUDAExecution" in done.stderr
    assert done.stderr.count("\n") == 1
    report = json.loads(run(scripts / "cgan-check", "--json", folder=tmp_path).stdout)
    assert report["provider"] == "cpu"
    assert "NVIDIA's driver is missing" in report["not_cuda"]


def test_both_onnxruntime_wheels_at_once_are_reported(
    runtime_environment: Environment, tmp_path: Path
) -> None:
    """The metadata of onnxruntime-gpu is enough to simulate its installation."""
    scripts = runtime_environment(onnxruntime.__version__)
    (packages,) = (scripts.parent / "lib").glob("python*/site-packages")
    distribution = packages / "onnxruntime_gpu-1.0.dist-info"
    distribution.mkdir()
    metadata = distribution / "METADATA"
    metadata.write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.0\n")
    try:
        done = run(scripts / "cgan-run", "--digit", 9, "--provider", "cuda", folder=tmp_path)
        assert done.returncode == 1
        assert "are both installed" in done.stderr
        done = run(scripts / "cgan-check", folder=tmp_path)
        assert "onnxruntime-gpu 1.0; they overwrite each other, keep one" in done.stdout
    finally:
        metadata.unlink()
        distribution.rmdir()
