"""The runtime's wheel, installed in environments without PyTorch."""

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import cgan_runtime
import cgan_runtime.pyinstaller
from cgan_export.source.generator_source import source_of_model
from cgan_export.verification.verify import generate_with_torch
from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import MIN_ONNXRUNTIME
from cgan_training.model_file import load_model

ROOT = Path(__file__).parents[2]
MAX_BYTES, MAX_BYTES_WITHOUT_MODEL = 435_000, 127_000
BUILDS = (f"{MIN_ONNXRUNTIME}.0", onnxruntime.__version__, "gpu")
Environment = Callable[[str], Path]


@pytest.fixture(scope="module", params=BUILDS)
def scripts(runtime_environment: Environment, request: pytest.FixtureRequest) -> Path:
    """The bin folders of environments: the oldest, the newest and the CUDA build of onnxruntime."""
    return runtime_environment(request.param)


def run(*words: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*map(str, words)], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < MAX_BYTES
    files = zipfile.ZipFile(wheel).infolist()
    without_model = [file for file in files if not file.filename.endswith(".onnx")]
    assert sum(file.compress_size for file in without_model) < MAX_BYTES_WITHOUT_MODEL


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
    assert report["golden"]["max_pixel_error"] == 0
    assert report["versions"]["onnxruntime"] in (*BUILDS, *report["installed"].values())


def test_an_exported_model_generates_the_images_of_the_trained_network(
    runtime_environment: Environment, run_dir: Path, onnx_file: Path, tmp_path: Path
) -> None:
    command = runtime_environment(onnxruntime.__version__) / "cgan-run"
    digits = ("--model", onnx_file, "--digits", "0123456789", "--seed", "3", "--count", "3")
    for output in ("sheet.png", "sheet.npy"):
        assert run(command, *digits, "--output", output, folder=tmp_path).returncode == 0
    images = np.load(tmp_path / "sheet.npy")
    assert images.shape == (30, 1, 28, 28)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet).reshape(3, 28, 10, 28).swapaxes(1, 2).reshape(30, 1, 28, 28)
    np.testing.assert_array_equal(pixels, images)
    trained = generate_with_torch(source_of_model(load_model(run_dir)), [*range(10)] * 3, 3, 0)
    np.testing.assert_allclose(images.astype(int), trained, atol=1)
    assert len(np.unique(images, axis=0)) == len(images)


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
        "driver is missing (libcuda.so.1); install it, or use the provider cpu\n"
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
    """The metadata and the list of files of onnxruntime-gpu simulate its installation."""
    scripts = runtime_environment(onnxruntime.__version__)
    (packages,) = (scripts.parent / "lib").glob("python*/site-packages")
    distribution = packages / "onnxruntime_gpu-1.0.dist-info"
    distribution.mkdir()
    metadata = distribution / "METADATA"
    metadata.write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.0\n")
    record = distribution / "RECORD"
    record.write_text("onnxruntime/__init__.py,,\n")
    try:
        done = run(scripts / "cgan-run", "--digit", 9, "--provider", "cuda", folder=tmp_path)
        assert done.returncode == 1
        assert "are both installed" in done.stderr
        done = run(scripts / "cgan-check", folder=tmp_path)
        assert "onnxruntime-gpu 1.0; they overwrite each other, keep one" in done.stdout
    finally:
        metadata.unlink()
        record.unlink()
        distribution.rmdir()


def test_every_distribution_holds_the_license() -> None:
    text = (ROOT / "LICENSE").read_bytes()
    for name in ("runtime", "training", "export"):
        assert (ROOT / name / "LICENSE").read_bytes() == text


def test_the_wheel_of_a_repository_that_ignores_onnx_files_contains_the_model(
    tmp_path: Path,
) -> None:
    shutil.copytree(ROOT / "runtime", tmp_path / "runtime")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("*.onnx\nmodels/\n")
    build = (sys.executable, "-m", "pip", "wheel", "--no-deps", tmp_path / "runtime")
    assert run(*build, folder=tmp_path).returncode == 0
    (wheel,) = tmp_path.glob("*.whl")
    assert "cgan_runtime/models/digits.onnx" in zipfile.ZipFile(wheel).namelist()


def test_the_package_works_within_an_archive(wheel: Path, tmp_path: Path) -> None:
    application = tmp_path / "application.pyz"
    with zipfile.ZipFile(wheel) as package, zipfile.ZipFile(application, "w") as archive:
        for name in package.namelist():
            archive.writestr(name, package.read(name))
        archive.writestr("__main__.py", "from cgan_runtime.cli import cgan_run; cgan_run()")
    words = (sys.executable, application, "--digit", 3, "--seed", 1, "--format", "npy")
    done = run(*words, "--output", "a.npy", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    with ImageGenerator() as generator:
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), generator.generate(3, seed=1))


def test_a_package_without_its_model_says_so(wheel: Path, tmp_path: Path) -> None:
    for name in ("folder", "archive.zip"):
        code = f"import sys; sys.path.insert(0, {name!r}); "
        code += "from cgan_runtime.cli import cgan_run; cgan_run()"
        with zipfile.ZipFile(wheel) as package:
            names = [name for name in package.namelist() if not name.endswith(".onnx")]
            if name == "folder":
                package.extractall(tmp_path / name, names)
            else:
                with zipfile.ZipFile(tmp_path / name, "w") as archive:
                    for each in names:
                        archive.writestr(each, package.read(each))
        done = run(sys.executable, "-c", code, folder=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: cgan-runtime was installed without its model ")
        assert done.stderr.count("\n") == 1


def test_pyinstaller_finds_the_hook(wheel: Path) -> None:
    """PyInstaller calls the function of the entry point, which returns the hooks' folders."""
    (hooks,) = cgan_runtime.pyinstaller.hook_folders()
    names = {path.name for path in Path(hooks).iterdir()}
    assert "hook-cgan_runtime.py" in names
    entry_points = zipfile.ZipFile(wheel).read(
        f"cgan_runtime-{cgan_runtime.__version__}.dist-info/entry_points.txt"
    )
    assert b"[pyinstaller40]\nhook-dirs = cgan_runtime.pyinstaller:hook_folders" in entry_points
