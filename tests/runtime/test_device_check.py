"""cgan-check: what it says is so, and its exit code is to be relied on."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from cgan_runtime.diagnostics import device_check as checking
from cgan_runtime.diagnostics.device_check import check
from cgan_runtime.errors import ModelError, ProviderError
from cgan_runtime.generator import SHIPPED_MODEL, ImageGenerator
from cgan_runtime.inference import session
from cgan_runtime.model_file.contract import Golden, ModelInfo

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def off_by(
    info: ModelInfo, make_model: Callable[..., Path], tmp_path: Path
) -> Callable[[int, str], Path]:
    """Write the tiny model with golden images that are so many grey levels off what it draws."""

    def make(levels: int, precision: str) -> Path:
        pixels = np.frombuffer(info.golden.images, np.uint8).copy()
        place = int(np.argmin(pixels))
        pixels[place] += levels
        golden = Golden(info.golden.seed, info.golden.labels, pixels.tobytes())
        changed = dataclasses.replace(info, golden=golden, precision=precision)
        return make_model(tmp_path / f"off-{levels}.onnx", changed.to_metadata())

    return make


def test_the_model_that_ships(command: Command) -> None:
    done = command("cgan-check", "--provider", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    facts = json.loads(done.stdout)
    content = SHIPPED_MODEL.read_bytes()
    assert facts["passed"] is True
    assert facts["provider"] == "cpu"
    assert facts["versions"]["onnxruntime"] == onnxruntime.__version__
    assert facts["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["offered"] == onnxruntime.get_available_providers()
    assert facts["installed"] == {"onnxruntime": onnxruntime.__version__}
    assert facts["golden"] == {"images": 10, "largest_difference": 0, "allowed": 0}
    assert facts["model"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert facts["model"]["bytes"] == len(content)
    assert facts["model"]["precision"] == "int8"
    assert 0 < facts["latency_microseconds"] < 1e6
    assert facts["images_per_second"] > 1000
    assert facts["load_milliseconds"] > 0


def test_in_words(command: Command, tiny_model: Path) -> None:
    done = command("cgan-check", "--provider", "cpu", "--model", tiny_model)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    words = {line[:13].strip(): line[15:] for line in lines}
    assert words["provider"] == "cpu"
    assert words["model"] == f"{tiny_model}, {tiny_model.stat().st_size:,} bytes"
    assert words["draws"] == "made up: 10 classes, 12 x 9 pixels, fp32, contract 1"
    assert words["golden images"].endswith("as promised")
    assert "pip install 'cgan-runtime[gpu]'" in words["not CUDA"]


@pytest.mark.parametrize(
    ("levels", "precision", "passed"),
    [(1, "fp32", True), (2, "fp32", False), (1, "int8", False), (200, "fp16", False)],
)
def test_what_a_device_may_be_off(
    command: Command,
    off_by: Callable[[int, str], Path],
    levels: int,
    precision: str,
    passed: bool,
) -> None:
    done = command("cgan-check", "--provider", "cpu", "--model", off_by(levels, precision))
    assert done.returncode == (0 if passed else 1)
    assert f"at most {levels} of 255 grey levels off".encode() in done.stdout
    if passed:
        assert done.stderr == b""
    else:
        assert b"NOT AS PROMISED" in done.stdout
        (line,) = done.stderr.decode().splitlines()
        assert line.startswith(f"error: this device draws up to {levels} grey levels off")


def test_cuda_that_is_not_there_is_an_error(command: Command) -> None:
    done = command("cgan-check", "--provider", "cuda")
    assert done.returncode == 1
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: no CUDA in this onnxruntime: it is the CPU build")


def test_a_model_that_is_none(command: Command, tmp_path: Path) -> None:
    done = command("cgan-check", "--model", "none.onnx")
    assert done.returncode == 1
    assert done.stderr.decode().startswith("error: there is no model none.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match="not an ONNX model"):
        check(tmp_path / "text.onnx", "cpu")


def test_two_distributions_are_seen(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    both = [
        SimpleNamespace(metadata={"Name": name}, version=version)
        for name, version in (
            ("onnxruntime-gpu", "1.20"),
            ("onnxruntime", "1.21"),
            ("onnx", "1.18"),
            (None, "0"),  # a broken installation
        )
    ]
    monkeypatch.setattr(checking, "distributions", lambda: both)
    found = check(tiny_model, "cpu")
    assert found.installed == {"onnxruntime": "1.21", "onnxruntime-gpu": "1.20"}


def test_why_cuda_that_is_offered_was_not_got(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)

    def fails(*_: object) -> None:
        raise ProviderError("a library is missing; install it")

    monkeypatch.setattr(session, "_open_on", fails)
    found = check(tiny_model, "cpu")
    assert found.provider == "cpu"
    assert found.not_cuda == "a library is missing; install it"
    assert found.offered == offered


def test_the_speed_is_of_what_is_drawn(tiny_model: Path) -> None:
    found = check(tiny_model, "cpu", threads=1)
    with ImageGenerator(tiny_model, "cpu", threads=1) as generator:
        assert generator.provider == found.provider
    assert found.speed.throughput * found.speed.latency > 1  # many at once are cheaper than one


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from cgan_runtime.cli.check import command;"
        "command.main(['--help'], standalone_mode=False);"
        "print(sorted({'onnxruntime', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
