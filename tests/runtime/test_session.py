import os
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cgan_runtime.errors import InstallError, ModelError, ProviderError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.inference import session
from cgan_runtime.inference.threads import available_threads

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
COREML, AZURE = "CoreMLExecutionProvider", "AzureExecutionProvider"


class FakeOptions(SimpleNamespace):
    """Takes every setting."""

    def add_session_config_entry(self, key: str, value: str) -> None:
        setattr(self, key, value)


class FakeOnnxruntime(ModuleType):
    """An onnxruntime that offers some providers and gives others; it is chatty."""

    def __init__(self, offered: list[str], given: list[str]) -> None:
        super().__init__("onnxruntime")
        self.__file__ = "nowhere/onnxruntime/__init__.py"
        self.__version__ = "1.99"
        self.SessionOptions = FakeOptions
        self.offered, self.given = offered, given
        self.failure: Exception | None = None  # of a session with CUDA
        self.opened: list[tuple[list[str], FakeOptions]] = []
        self.told: list[dict[str, str]] = []  # options of the newest session's providers

    def set_default_logger_severity(self, severity: int) -> None:
        self.severity = severity

    def get_available_providers(self) -> list[str]:
        return self.offered

    def preload_dlls(self) -> None:
        print("chatter of the libraries")

    def InferenceSession(  # noqa: N802 - onnxruntime's name
        self,
        _model: bytes,
        options: FakeOptions,
        providers: list[str],
        provider_options: list[dict[str, str]],
        **_: object,
    ) -> Any:
        print("chatter of the session")
        self.opened.append((providers, options))
        self.told = provider_options
        if providers != [CPU] and self.failure:
            raise self.failure
        given = [each for each in providers if each in self.given]
        return SimpleNamespace(get_providers=lambda: given)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeOnnxruntime]:
    """Put a fake in the place of onnxruntime."""

    def install(offered: list[str], given: list[str]) -> FakeOnnxruntime:
        module = FakeOnnxruntime(offered, given)
        monkeypatch.setitem(sys.modules, "onnxruntime", module)
        return module

    return install


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that just these distributions are installed."""

    def install(*names: str) -> None:
        def version(name: str) -> str:
            if name not in names:
                raise PackageNotFoundError(name)
            return "1.99"

        monkeypatch.setattr("importlib.metadata.version", version)

    return install


def test_cuda_on_a_cpu_build(tiny_model: Path) -> None:
    with pytest.raises(ProviderError) as caught:
        ImageGenerator(tiny_model, "cuda")
    message = str(caught.value)
    assert "it is the CPU build" in message
    assert "pip install 'cgan-runtime[gpu]'" in message
    assert "\n" not in message


@pytest.mark.parametrize("provider", ["tpu", "", "CPU", CUDA, "azure"])
def test_an_unknown_provider(tiny_model: Path, provider: str) -> None:
    with pytest.raises(ProviderError, match=r"here; choose auto, cpu$") as caught:
        ImageGenerator(tiny_model, provider)
    assert repr(provider) in str(caught.value)


@pytest.mark.parametrize("provider", ["auto", "cpu"])
def test_the_cpu_is_taken_in_silence(
    tiny_model: Path, capfd: pytest.CaptureFixture[str], provider: str
) -> None:
    with ImageGenerator(tiny_model, provider) as generator:
        assert generator.provider == "cpu"
    assert capfd.readouterr() == ("", "")


def test_cuda_where_the_session_gets_it(fake: Callable[..., FakeOnnxruntime]) -> None:
    for provider in ("cuda", "auto"):
        module = fake([CUDA, CPU], [CUDA, CPU])
        opened = session.open_session(b"model", "m.onnx", provider, None)
        assert opened.get_providers() == [CUDA, CPU]
        assert module.told == [{"use_tf32": "0"}, {}]


def test_the_cpu_is_taken_where_cuda_is_offered_too(fake: Callable[..., FakeOnnxruntime]) -> None:
    module = fake([CUDA, CPU], [CUDA, CPU])
    session.open_session(b"model", "m.onnx", "cpu", None)
    assert [providers for providers, _ in module.opened] == [[CPU]]


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without NVIDIA's driver."""

    def refuse(name: str, **_: object) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("cgan_runtime.inference.cuda_diagnostics.ctypes.CDLL", refuse)


@pytest.mark.usefixtures("no_driver")
@pytest.mark.parametrize("failure", [None, RuntimeError("no\ndevice"), RuntimeError()], ids=repr)
def test_cuda_offered_and_not_given(
    fake: Callable[..., FakeOnnxruntime],
    capfd: pytest.CaptureFixture[str],
    failure: Exception | None,
) -> None:
    fake([CUDA, CPU], [CPU]).failure = failure
    with pytest.raises(ProviderError, match="but the session did not get it: NVIDIA's") as caught:
        session.open_session(b"model", "m.onnx", "cuda", None)
    message = str(caught.value)
    assert message.endswith("; install it, or use --provider cpu")
    assert "\n" not in message
    assert not capfd.readouterr().out


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (None, "it does not say why; use --provider cpu"),
        (RuntimeError("model too\nold"), "model too old; use --provider cpu"),
        (
            RuntimeError("/src/a.cc:729 void f(int&, b) Install it"),
            "Install it; use --provider cpu",
        ),
        (RuntimeError(), "RuntimeError; use --provider cpu"),
    ],
    ids=["given the CPU", "told why", "told where", "told nothing"],
)
def test_another_provider_offered_and_not_given(
    fake: Callable[..., FakeOnnxruntime], failure: Exception | None, words: str
) -> None:
    fake([COREML, CPU], [CPU]).failure = failure
    with pytest.raises(ProviderError, match=f"offers {COREML}, but the session") as caught:
        session.open_session(b"model", "m.onnx", "coreml", None)
    assert str(caught.value).endswith(words)


def test_another_provider_where_the_session_gets_it(fake: Callable[..., FakeOnnxruntime]) -> None:
    module = fake([COREML, AZURE, CPU], [COREML, CPU])
    opened = session.open_session(b"model", "m.onnx", "coreml", None)
    assert opened.get_providers() == [COREML, CPU]
    session.open_session(b"model", "m.onnx", "auto", None)
    assert module.opened[-1][0] == [CPU]  # auto takes no other
    with pytest.raises(ProviderError, match=r"choose auto, coreml, cpu$"):
        session.open_session(b"model", "m.onnx", "azure", None)  # it would ask a server


@pytest.mark.usefixtures("no_driver")
@pytest.mark.parametrize("failure", [None, RuntimeError("no device"), RuntimeError()], ids=repr)
def test_auto_says_in_one_line_why_it_takes_the_cpu(
    fake: Callable[..., FakeOnnxruntime],
    capfd: pytest.CaptureFixture[str],
    failure: Exception | None,
) -> None:
    fake([CUDA, CPU], [CPU]).failure = failure
    opened = session.open_session(b"model", "m.onnx", "auto", None)
    assert opened.get_providers() == [CPU]
    out, err = capfd.readouterr()
    assert not out
    notes = err.splitlines()
    assert len(notes) == 1
    assert notes[0].startswith(
        "note: drawing on the CPU: onnxruntime offers CUDAExecutionProvider, but"
    )


def test_chatter_does_not_reach_stdout(
    fake: Callable[..., FakeOnnxruntime], capfd: pytest.CaptureFixture[str]
) -> None:
    fake([CUDA, CPU], [CUDA, CPU])
    for provider in ("auto", "cpu", "cuda"):
        session.open_session(b"model", "m.onnx", provider, None)
    assert not capfd.readouterr().out


def test_a_bad_model_does_not_pass_for_a_missing_gpu(
    fake: Callable[..., FakeOnnxruntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = fake([CUDA, CPU], [CUDA, CPU])

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Protobuf parsing failed")

    monkeypatch.setattr(module, "InferenceSession", refuse)
    for provider in ("auto", "cpu", "cuda"):
        with pytest.raises(ModelError, match=r"m\.onnx cannot be opened: .*than 1\.99; copy"):
            session.open_session(b"model", "m.onnx", provider, None)


def test_stdout_is_itself_after_two_sessions_at_once(
    fake: Callable[..., FakeOnnxruntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first session to open ends while the second is still at it."""
    module = fake([CPU], [CPU])
    second_is_in, first_is_out = threading.Event(), threading.Event()
    first_is_in = threading.Event()
    open_fake = module.InferenceSession

    def slow(model: bytes, *arguments: Any, **options: Any) -> Any:
        if model == b"first":
            first_is_in.set()
            second_is_in.wait(0.3)  # in vain where only one may be at it
        else:
            second_is_in.set()
            first_is_out.wait(0.3)
        return open_fake(model, *arguments, **options)

    monkeypatch.setattr(module, "InferenceSession", slow)
    stdout = sys.stdout
    monkeypatch.setattr(sys, "stdout", stdout)  # to have it back in any case

    def open_first() -> None:
        session.open_session(b"first", "m.onnx", "cpu", 1)
        first_is_out.set()

    def open_second() -> None:
        first_is_in.wait(1)
        session.open_session(b"second", "m.onnx", "cpu", 1)

    threads = [threading.Thread(target=each) for each in (open_first, open_second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(module.opened) == 2
    assert sys.stdout is stdout


@pytest.mark.parametrize(("threads", "taken"), [(1, 1), (3, 3), (None, "all")])
def test_threads_that_a_session_takes(
    fake: Callable[..., FakeOnnxruntime], threads: int | None, taken: int | str
) -> None:
    module = fake([CPU], [CPU])
    session.open_session(b"model", "m.onnx", "cpu", threads)
    (_, options) = module.opened[0]
    assert options.intra_op_num_threads == (available_threads() if taken == "all" else taken)
    assert options.inter_op_num_threads == 1


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["onnxruntime"],
            "it is the CPU build; pip uninstall -y onnxruntime onnxruntime-gpu, then pip",
        ),
        (["onnxruntime", "onnxruntime-gpu"], "both installed and the former overwrote the latter"),
        (["onnxruntime-gpu"], "the onnxruntime-gpu installed here has none for this platform"),
    ],
    ids=" and ".join,
)
def test_why_an_onnxruntime_has_no_cuda(
    fake: Callable[..., FakeOnnxruntime],
    installed: Callable[..., None],
    names: list[str],
    words: str,
) -> None:
    fake([CPU], [CPU])
    installed(*names)
    with pytest.raises(ProviderError) as caught:
        session.open_session(b"model", "m.onnx", "cuda", None)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert message.endswith((", or use --provider cpu", "; use --provider cpu"))


def missing() -> None:
    return None


def left_over() -> ModuleType:
    """What is left of a folder that two wheels wrote and one uninstalled: it imports, empty."""
    return ModuleType("onnxruntime")


@pytest.mark.parametrize("remains", [missing, left_over])
def test_no_onnxruntime(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, remains: Callable[[], ModuleType | None]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", remains())
    for provider in ("auto", "cpu", "cuda"):
        with pytest.raises(InstallError) as caught:
            ImageGenerator(tiny_model, provider)
        message = str(caught.value)
        assert "pip install 'cgan-runtime[cpu]'" in message
        assert "'cgan-runtime[gpu]'" in message
        assert "\n" not in message


@pytest.mark.parametrize(("set_before", "seen"), [(None, "1"), ("0", "0")])
def test_telemetry_is_off_before_the_import(
    tmp_path: Path, set_before: str | None, seen: str
) -> None:
    (tmp_path / "onnxruntime.py").write_text(
        "import os\n"
        "print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "set_default_logger_severity = SessionOptions = InferenceSession = print\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    if set_before is not None:
        environment["ORT_DISABLE_TELEMETRY"] = set_before
    done = subprocess.run(
        [sys.executable, "-c", "from cgan_runtime import session; session.import_onnxruntime()"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == seen
