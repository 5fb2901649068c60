"""Opening a session of onnxruntime."""

import itertools
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import onnxruntime
import pytest
from commands import Command
from fake_onnxruntime import CPU, CUDA, Fake, FakeOptions, NativeError, open_on

from cgan_runtime.errors import CganError, InstallError, ModelError, ProviderError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.inference import cuda_diagnostics, session
from cgan_runtime.inference.threads import available_threads


@pytest.mark.parametrize(
    ("provider", "failure"),
    [("auto", NativeError("no device")), ("cpu", None), ("cuda", NativeError("no device"))],
)
def test_sessions_print_nothing(
    fake: Fake, capfd: pytest.CaptureFixture[str], provider: str, failure: Exception | None
) -> None:
    module = fake([CUDA, CPU], [CUDA, CPU])
    module.failure = failure
    with suppress(ProviderError):
        open_on(provider)
    assert not capfd.readouterr().out
    module.preload_dlls()
    assert capfd.readouterr().out, "the module of the process was changed"


def test_opening_a_session_does_not_redirect_stdout(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    module = fake([CUDA, CPU], [CUDA, CPU])
    stdout, seen = sys.stdout, []

    def look(*_: object) -> None:
        seen.append(sys.stdout)
        print("a line of another thread")

    monkeypatch.setattr(module, "open", look)
    open_on("cuda")
    assert seen == [stdout, stdout]
    assert capfd.readouterr().out == "a line of another thread\n" * 2


def test_log_of_the_process_keeps_its_severity() -> None:
    code = """
import onnxruntime
onnxruntime.set_default_logger_severity = None
from cgan_runtime import ImageGenerator
ImageGenerator(provider="cpu").generate(1, seed=0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cgan-run", ()),
        ("cgan-check", ()),
        ("cgan-bulk", ("--count", 1, "--output", "folder")),
    ],
)
def test_commands_limit_the_log(
    call: Command, monkeypatch: pytest.MonkeyPatch, name: str, arguments: tuple[object, ...]
) -> None:
    severities: list[int] = []
    monkeypatch.setattr(onnxruntime, "set_default_logger_severity", severities.append)
    assert call(name, "--model", "none.onnx", *arguments).returncode == 1
    assert severities == [4]


@pytest.mark.parametrize("provider", ["auto", "cpu", "cuda"])
def test_bad_model_is_not_reported_as_a_missing_gpu(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    module = fake([CUDA, CPU], [CUDA, CPU])

    def fail(*_: object) -> None:
        raise NativeError("Protobuf parsing failed")

    monkeypatch.setattr(module, "open", fail)
    with pytest.raises(ModelError) as caught:
        open_on(provider)
    assert str(caught.value) == (
        "m.onnx cannot be opened (Protobuf parsing failed); use a newer onnxruntime than 1.99, or "
        "export it again"
    )


@pytest.mark.parametrize("error", [TimeoutError("alarm"), RuntimeError("mine")], ids=repr)
@pytest.mark.parametrize(
    ("provider", "failing"), [("cpu", 1), ("auto", 1), ("auto", 2), ("cuda", 1), ("cuda", 2)]
)
def test_error_of_a_signal_handler_passes_through_unchanged(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, provider: str, failing: int, error: Exception
) -> None:
    """On CUDA the model is opened twice, first on the CPU."""
    module = fake([CUDA, CPU], [CUDA, CPU])
    calls = itertools.count(1)

    def interrupt(*_: object) -> None:
        if next(calls) == failing:
            raise error

    monkeypatch.setattr(module, "open", interrupt)
    with pytest.raises(type(error)) as caught:
        open_on(provider)
    assert caught.value is error
    assert error.__cause__ is None


@pytest.mark.parametrize("provider", ["cpu", "cuda"])
@pytest.mark.parametrize(
    ("reason", "kind", "message"),
    [
        ("bad_alloc", MemoryError, "^bad_alloc$"),
        ("Failed to allocate memory for requested buffer", MemoryError, "^Failed to allocate"),
        ("pthread_create failed, error code: 11", CganError, "raise the limit on threads"),
    ],
)
def test_lack_of_memory_or_threads_is_not_called_a_bad_model(
    fake: Fake,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    reason: str,
    kind: type[Exception],
    message: str,
) -> None:
    module = fake([CUDA, CPU], [CUDA, CPU])

    def fail(*_: object) -> None:
        raise NativeError(reason)

    monkeypatch.setattr(module, "open", fail)
    with pytest.raises(kind, match=message) as caught:
        open_on(provider, threads=1)
    assert not isinstance(caught.value, ModelError | ProviderError)


def test_session_has_one_thread_if_another_cannot_start(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = fake([CPU], [CPU])
    open_fake = module.open

    def fail(model: bytes, options: FakeOptions, providers: list[str]) -> None:
        open_fake(model, options, providers)
        if options.intra_op_num_threads > 1:
            raise NativeError("pthread_create failed, error code: 11")

    monkeypatch.setattr(module, "open", fail)
    open_on("cpu", threads=2)
    assert [threads for _, threads in module.opened] == [2, 1]


@pytest.mark.parametrize("threads", [1, 3, None])
def test_session_has_the_requested_threads(fake: Fake, threads: int | None) -> None:
    module = fake([CPU], [CPU])
    open_on("cpu", threads)
    (options,) = module.options
    assert options.intra_op_num_threads == (threads or available_threads())
    assert options.inter_op_num_threads == 1


@pytest.mark.parametrize(
    ("installed", "reason"),
    [
        (
            ["onnxruntime"],
            "it is the CPU build; pip uninstall -y onnxruntime onnxruntime-gpu, then",
        ),
        (["onnxruntime", "onnxruntime-gpu"], "both installed, and overwrite each other's files"),
        (["onnxruntime-gpu"], "the installed onnxruntime-gpu has no CUDA for this platform"),
        (["onnxruntime-openvino"], "it is onnxruntime-openvino; use the provider cpu, or another"),
        ([], "it was not installed by pip; use the provider cpu, or another one that cgan-check"),
    ],
    ids=" and ".join,
)
def test_installed_onnxruntime_without_cuda_is_explained(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, installed: list[str], reason: str
) -> None:
    monkeypatch.setattr(
        cuda_diagnostics, "onnxruntime_distributions", lambda: dict.fromkeys(installed, "1.99")
    )
    fake([CPU], [CPU])
    with pytest.raises(ProviderError) as caught:
        open_on("cuda")
    message = str(caught.value)
    assert reason in message
    assert "\n" not in message
    assert "use the provider cpu" in message.partition("; ")[2]


@pytest.mark.parametrize("left_over", [None, ModuleType("onnxruntime")], ids=["missing", "empty"])
def test_missing_onnxruntime_is_reported(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, left_over: ModuleType | None
) -> None:
    """If one of two wheels was uninstalled, a folder remains that imports without attributes."""
    monkeypatch.setitem(sys.modules, "onnxruntime", left_over)
    with pytest.raises(InstallError) as caught:
        ImageGenerator(tiny_model)
    message = str(caught.value)
    assert "; pip install 'cgan-runtime[cpu]'" in message
    assert "'cgan-runtime[gpu]'" in message
    assert "\n" not in message


def test_failed_import_for_lack_of_memory_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(ModuleType):
        def __getattr__(self, _: str) -> Any:
            raise ImportError("lib.so: failed to map segment from shared object")

    monkeypatch.setitem(sys.modules, "onnxruntime", Broken("onnxruntime"))
    with pytest.raises(MemoryError, match="failed to map segment"):
        session.import_onnxruntime()


@pytest.mark.parametrize(("variable", "seen"), [(None, "1"), ("0", "0")])
def test_telemetry_is_off_before_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None, seen: str
) -> None:
    (tmp_path / "onnxruntime.py").write_text(
        "import os\nseen = os.environ.get('ORT_DISABLE_TELEMETRY')\nInferenceSession = None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", variable or "")
    if variable is None:
        monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    assert session.import_onnxruntime().seen == seen
    monkeypatch.delitem(sys.modules, "onnxruntime")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, TimeoutError])
def test_exception_of_a_signal_handler_is_not_a_missing_onnxruntime(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    """A native module turns an exception that is raised during its import into an ImportError."""

    class Broken(ModuleType):
        @property
        def InferenceSession(self) -> None:  # noqa: N802
            raise ImportError("initialization failed") from kind()

    monkeypatch.setitem(sys.modules, "onnxruntime", Broken("onnxruntime"))
    with pytest.raises(kind):
        session.import_onnxruntime()
