import itertools
import logging
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from cgan_runtime.errors import CganError, InstallError, ModelError, ProviderError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.inference import cuda_diagnostics, session
from cgan_runtime.inference.threads import available_threads

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
COREML, AZURE = "CoreMLExecutionProvider", "AzureExecutionProvider"


class FakeOptions(SimpleNamespace):
    """Accepts every setting."""

    def add_session_config_entry(self, key: str, value: str) -> None:
        setattr(self, key, value)


class NativeError(Exception):
    """Looks like an exception class of onnxruntime."""


NativeError.__module__ = "onnxruntime.capi.onnxruntime_pybind11_state"


class FakeOnnxruntime(ModuleType):
    """An onnxruntime whose sessions get only some of the offered providers.

    Like old releases, it prints and falls back to the CPU after a failure.
    """

    def __init__(self, offered: list[str], obtained: list[str]) -> None:
        super().__init__("onnxruntime")
        self.__file__ = "nowhere/onnxruntime/__init__.py"
        self.__version__ = "1.99"
        self.SessionOptions = FakeOptions
        self.offered, self.obtained = offered, obtained
        self.failure: Exception | None = None  # of a session on another provider than the CPU
        self.preload_dlls = preload_dlls
        self.opened: list[tuple[list[str], int]] = []  # providers and number of threads
        self.options: list[FakeOptions] = []
        self.provider_options: list[dict[str, str]] = []  # of the newest session
        fake = self

        class InferenceSession:
            _enable_fallback: bool

            def __init__(
                self,
                model: bytes,
                options: FakeOptions,
                providers: list[str],
                provider_options: list[dict[str, str]],
                **_: object,
            ) -> None:
                self._enable_fallback = True
                try:
                    fake.open(model, options, providers)
                except Exception as error:
                    if self._enable_fallback:
                        print(f"EP Error {error}")
                        providers = [CPU]
                    else:
                        raise
                fake.provider_options = provider_options
                self._providers = [each for each in providers if each in fake.obtained]

            def get_providers(self) -> list[str]:
                return self._providers

        self.InferenceSession = InferenceSession

    def open(self, _model: bytes, options: FakeOptions, providers: list[str]) -> None:
        self.opened.append((providers, options.intra_op_num_threads))
        self.options.append(options)
        if providers != [CPU] and self.failure:
            raise self.failure

    def get_available_providers(self) -> list[str]:
        return self.offered


def preload_dlls() -> None:
    print("text that preload_dlls() prints")


Command = Callable[..., "subprocess.CompletedProcess[bytes]"]
Fake = Callable[[list[str], list[str]], FakeOnnxruntime]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Replace onnxruntime with a fake."""

    def install(offered: list[str], obtained: list[str]) -> FakeOnnxruntime:
        module = FakeOnnxruntime(offered, obtained)
        monkeypatch.setitem(sys.modules, "onnxruntime", module)
        return module

    return install


def open_on(provider: str, threads: int | None = None) -> Any:
    return session.open_session(b"model", "m.onnx", provider, threads)


@pytest.mark.parametrize("provider", ["tpu", "", "azure", AZURE])
def test_unknown_provider_is_rejected(tiny_model: Path, provider: str) -> None:
    with pytest.raises(ProviderError) as caught:
        ImageGenerator(tiny_model, provider)
    name = provider.removesuffix("ExecutionProvider").lower()
    assert str(caught.value) == f"provider {name!r} is not available; choose from auto, cpu"


@pytest.mark.parametrize("provider", [CPU, "CPU", "Cpu"])
def test_provider_is_accepted_by_its_full_name(tiny_model: Path, provider: str) -> None:
    with ImageGenerator(tiny_model, provider) as generator:
        assert generator.provider == "cpu"


@pytest.mark.parametrize("provider", ["auto", "cpu"])
def test_cpu_build_uses_the_cpu_silently(
    tiny_model: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    provider: str,
) -> None:
    with ImageGenerator(tiny_model, provider) as generator:
        assert generator.provider == "cpu"
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.parametrize("provider", ["cuda", "auto"])
def test_cuda_session_disables_tf32(fake: Fake, provider: str) -> None:
    module = fake([CUDA, CPU], [CUDA, CPU])
    assert open_on(provider).get_providers() == [CUDA, CPU]
    assert module.provider_options == [{"use_tf32": "0"}, {}]


def test_cpu_is_used_although_cuda_is_offered(fake: Fake) -> None:
    module = fake([CUDA, CPU], [CUDA, CPU])
    open_on("cpu")
    assert [providers for providers, _ in module.opened] == [[CPU]]


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without NVIDIA's driver."""

    def fail(name: str, **_: object) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("cgan_runtime.inference.cuda_diagnostics.ctypes.CDLL", fail)


@pytest.mark.usefixtures("no_driver")
@pytest.mark.parametrize("failure", [None, NativeError("no\ndevice"), NativeError()], ids=repr)
def test_missing_cuda_is_explained(
    fake: Fake,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    failure: Exception | None,
) -> None:
    fake([CUDA, CPU], [CPU]).failure = failure
    with pytest.raises(ProviderError, match="but the session did not get it: NVIDIA's") as caught:
        open_on("cuda")
    message = str(caught.value)
    assert message.endswith("; install it, or use --provider cpu")
    assert "\n" not in message
    assert open_on("auto").get_providers() == [CPU]
    assert caplog.record_tuples == [
        ("cgan_runtime.inference.session", logging.WARNING, f"generating on the CPU: {message}")
    ]
    assert not capfd.readouterr().out


def test_warning_is_printed_on_stderr(tiny_model: Path) -> None:
    """Python's logging prints it if the program does not configure logging."""
    code = f"""
import onnxruntime
from cgan_runtime import ImageGenerator, ProviderError
from cgan_runtime.inference import session
def fail(*_): raise ProviderError("no driver; install it")
session._open_on = fail
onnxruntime.get_available_providers = lambda: [{CUDA!r}, {CPU!r}]
ImageGenerator({str(tiny_model)!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == "generating on the CPU: no driver; install it\n"


@pytest.mark.parametrize(
    ("failure", "ending"),
    [
        (None, "it gives no reason; use --provider cpu"),
        (NativeError("model too\nold"), "model too old; use --provider cpu"),
        (
            NativeError("/src/a.cc:729 void f(int&, b) Install it"),
            "Install it; use --provider cpu",
        ),
        (NativeError(), "NativeError; use --provider cpu"),
    ],
    ids=["no error", "a message", "a message with its location", "no message"],
)
def test_another_missing_provider_is_explained(
    fake: Fake, failure: Exception | None, ending: str
) -> None:
    fake([COREML, CPU], [CPU]).failure = failure
    with pytest.raises(ProviderError, match=f"offers {COREML}, but the session") as caught:
        open_on("coreml")
    assert str(caught.value).endswith(ending)


def test_another_provider_is_used_only_on_request(fake: Fake) -> None:
    module = fake([COREML, AZURE, CPU], [COREML, CPU])
    assert open_on("coreml").get_providers() == [COREML, CPU]
    open_on("auto")
    assert module.opened[-1][0] == [CPU]  # auto chooses between CUDA and the CPU only
    with pytest.raises(ProviderError, match=r"choose from auto, coreml, cpu$"):
        open_on("azure")  # it would call a server


@pytest.mark.parametrize("provider", ["auto", "cpu", "cuda"])
@pytest.mark.parametrize("failure", [None, NativeError("no device")], ids=repr)
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


def test_stdout_belongs_to_the_process_while_a_session_opens(
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


CALLERS_ERRORS = [TimeoutError("alarm"), RuntimeError("mine"), ValueError("mine"), MemoryError()]


@pytest.mark.parametrize("error", CALLERS_ERRORS, ids=repr)
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
        (["onnxruntime-openvino"], "it is onnxruntime-openvino; use --provider cpu, or another"),
        ([], "it is a build of its own; use --provider cpu, or another of its providers"),
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
    assert "use --provider cpu" in message.partition("; ")[2]


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

    def fail(*_: object) -> None:
        raise ImportError("initialization failed") from kind()

    fake = FakeOnnxruntime([CPU], [CPU])
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    monkeypatch.setattr(fake, "set_default_logger_severity", fail)
    with pytest.raises(kind):
        session.import_onnxruntime()
