"""cgan-check: the report, and an exit code that scripts can rely on."""

import dataclasses
import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from commands import Command

from cgan_runtime.diagnostics import device_check
from cgan_runtime.diagnostics.device_check import check_device
from cgan_runtime.diagnostics.speed import Speed
from cgan_runtime.errors import ModelError, ProviderError
from cgan_runtime.inference import cuda_diagnostics, session
from cgan_runtime.model_file.contract import Golden, ModelInfo
from cgan_runtime.model_file.reading import SHIPPED_MODEL


@pytest.fixture
def no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the measurement of the speed, which takes half a second."""
    monkeypatch.setattr(device_check, "measure_speed", lambda _: Speed(1.0, 1.0))


def test_shipped_model_passes(command: Command) -> None:
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
    assert facts["golden"] == {"images": 10, "max_pixel_error": 0, "tolerance": 0}
    assert facts["model"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert facts["model"]["size_bytes"] == len(content)
    assert (facts["model"]["precision"], facts["model"]["bit_exact"]) == ("int8", True)
    assert 0 < facts["latency_microseconds"] < 1e6
    assert facts["images_per_second"] > 0
    assert facts["load_milliseconds"] > 0


@pytest.mark.usefixtures("no_measurement")
def test_text_report_shows_provider_versions_and_speed(call: Command, tiny_model: Path) -> None:
    done = call("cgan-check", "--provider", "cpu", "--model", tiny_model)
    assert done.returncode == 0, done.stderr
    rows = {line[:13].strip(): line[15:] for line in done.stdout.decode().splitlines()}
    assert (rows["provider"], rows["bit-exact"]) == ("cpu", "no")
    assert rows["model"] == f"{tiny_model}, {tiny_model.stat().st_size:,} bytes"
    assert "made up: 10 classes, 12 x 9 pixels, gray, fp32, contract 1" in rows.values()


@pytest.mark.usefixtures("no_measurement")
@pytest.mark.parametrize(
    ("error", "precision", "bit_exact", "passed"),
    [
        (1, "fp32", False, True),
        (2, "fp32", False, False),
        (1, "int8", True, False),
        (8, "int8", False, True),
        (9, "int8", False, False),
        (200, "fp16", False, False),
    ],
)
def test_golden_sample_is_compared_with_a_tolerance(
    call: Command,
    info: ModelInfo,
    make_model: Callable[..., Path],
    tmp_path: Path,
    error: int,
    precision: str,
    bit_exact: bool,
    passed: bool,
) -> None:
    pixels = np.frombuffer(info.golden.images, np.uint8).copy()
    pixels[np.argmin(pixels)] += error
    golden = Golden(info.golden.seed, info.golden.labels, pixels.tobytes())
    changed = dataclasses.replace(info, golden=golden, precision=precision, bit_exact=bit_exact)
    path = make_model(tmp_path / "changed.onnx", changed.to_metadata())
    report = check_device(path, "cpu")
    assert (report.golden_max_error, report.passed) == (error, passed)
    done = call("cgan-check", "--provider", "cpu", "--model", path)
    assert done.returncode == (0 if passed else 1)
    values = json.loads(call("cgan-check", "--provider", "cpu", "--model", path, "--json").stdout)
    assert (values["passed"], "error" in values) == (passed, not passed)
    if passed:
        assert done.stderr == b""
    else:
        (line,) = done.stderr.decode().splitlines()
        assert line.startswith("error: ")
        assert f" {error} " in line


@pytest.mark.parametrize("words", [("--provider", "cuda"), ("--model", "damaged.onnx")])
def test_a_failed_check_is_json_too(call: Command, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "damaged.onnx").write_bytes(SHIPPED_MODEL.read_bytes()[:-1])
    done = call("cgan-check", *words, "--json")
    assert done.returncode == 1
    values = json.loads(done.stdout)
    assert values == {"passed": False, "error": values["error"]}
    assert done.stderr.decode() == f"error: {values['error']}\n"


def test_cuda_on_a_cpu_build_is_one_error_line(call: Command) -> None:
    done = call("cgan-check", "--provider", "cuda")
    assert done.returncode == 1
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: the installed onnxruntime has no CUDA: it is the CPU build; pip")
    assert "pip install 'cgan-runtime[gpu]'" in line


def test_file_that_is_not_a_model_is_rejected(call: Command, tmp_path: Path) -> None:
    done = call("cgan-check", "--model", "none.onnx")
    assert done.returncode == 1
    assert done.stderr.decode().startswith("error: there is no model none.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match="not an ONNX model"):
        check_device(tmp_path / "text.onnx", "cpu")


INIT = "onnxruntime/__init__.py"
IMPORTED = Path(onnxruntime.__file__).parents[1]


class Installed(SimpleNamespace):
    """A distribution whose RECORD lists these files below a folder."""

    def __init__(self, name: str | None, *files: str, folder: Path = IMPORTED) -> None:
        super().__init__(metadata={"Name": name}, version="1.2", files=files, folder=folder)

    def read_text(self, name: str) -> str | None:
        return "".join(f"{file},sha256=x,1\n" for file in self.files) if name == "RECORD" else None

    def locate_file(self, path: str) -> Path:
        return Path(self.folder / path)


@pytest.mark.parametrize(
    ("installed", "names"),
    [
        ([Installed("onnxruntime", INIT)], ["onnxruntime"]),
        (
            [Installed("onnxruntime-gpu", INIT), Installed("onnxruntime", "a", INIT)],
            ["onnxruntime", "onnxruntime-gpu"],
        ),
        (
            [Installed("onnxruntime-openvino", INIT), Installed("onnxruntime-extensions", "b/c")],
            ["onnxruntime-openvino"],
        ),
        ([Installed("my-build", INIT), Installed("onnx", "onnx/__init__.py")], ["my-build"]),
        (
            [Installed("onnxruntime", INIT), Installed("other", INIT, folder=Path("/elsewhere"))],
            ["onnxruntime"],
        ),
        ([Installed(None, INIT), Installed("similar", f"{INIT}.bak", f"a/{INIT}")], ["unknown"]),
        ([], []),
    ],
    ids=lambda value: " ".join(map(str, value)) if value and isinstance(value[0], str) else "",
)
def test_only_distributions_that_own_the_imported_onnxruntime_are_listed(
    monkeypatch: pytest.MonkeyPatch, installed: list[Installed], names: list[str]
) -> None:
    monkeypatch.setattr(cuda_diagnostics, "distributions", lambda: installed)
    assert [*cuda_diagnostics.onnxruntime_distributions()] == names


@pytest.mark.usefixtures("no_measurement")
def test_report_states_why_cuda_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)

    def fail(*_: object) -> None:
        raise ProviderError("a library is missing; install it")

    monkeypatch.setattr(session._Opener, "open_on", fail)
    report = check_device(tiny_model, "auto")
    assert report.provider == "cpu"
    assert report.no_cuda_reason == "a library is missing; install it"
    assert report.available_providers == offered


@pytest.mark.usefixtures("no_measurement")
@pytest.mark.parametrize(
    ("provider", "problem", "shown"),
    [
        ("auto", None, True),
        ("cpu", None, False),
        ("auto", "NVIDIA's driver is missing (libcuda.so.1); install it", False),
        ("auto", "NVIDIA's driver finds no device (code 100)", False),
    ],
)
def test_advice_about_cuda_is_given_only_where_there_is_a_device(
    call: Command,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    problem: str | None,
    shown: bool,
) -> None:
    monkeypatch.setattr(cuda_diagnostics, "driver_problem", lambda: problem)
    done = call("cgan-check", "--provider", provider, "--model", tiny_model)
    assert (b"pip install 'cgan-runtime[gpu]'" in done.stdout) == shown
    assert (b"not CUDA" in done.stdout) == shown
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits.onnx"], "cgan-check takes only options, got 'digits.onnx'; write --model digits"),
        (["9"], "cgan-check takes only options, got '9'; see cgan-check --help"),
        (["a.png"], "cgan-check takes only options, got 'a.png'; see cgan-check --help"),
    ],
)
def test_wrong_usage_is_one_line(call: Command, words: list[str], message: str) -> None:
    done = call("cgan-check", *words)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith(f"error: {message}")


@pytest.mark.usefixtures("no_measurement")
def test_model_is_read_once(call: Command, tiny_model: Path, tmp_path: Path) -> None:
    """A pipe, such as --model /dev/stdin, can be read only once."""
    pipe, content = tmp_path / "pipe", tiny_model.read_bytes()
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    done = call("cgan-check", "--model", pipe, "--json")
    writer.join()
    assert done.returncode == 0, done.stderr
    model = json.loads(done.stdout)["model"]
    assert model["size_bytes"] == len(content)
    assert model["sha256"] == hashlib.sha256(content).hexdigest()
