"""An onnxruntime without native code, for tests of providers that this machine does not have."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

from cgan_runtime.inference import session

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
COREML, AZURE = "CoreMLExecutionProvider", "AzureExecutionProvider"


class FakeOptions(SimpleNamespace):
    """Accepts every setting."""

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Keep an entry."""
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
        self.nodes: dict[str, int] = {}  # by provider; empty: the first one computes all
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

            def get_provider_graph_assignment_info(self) -> list[SimpleNamespace]:
                counts = fake.nodes or {self._providers[0]: 15}
                return [
                    SimpleNamespace(ep_name=name, get_nodes=lambda count=count: [None] * count)
                    for name, count in counts.items()
                ]

        self.InferenceSession = InferenceSession

    def open(self, _model: bytes, options: FakeOptions, providers: list[str]) -> None:
        """Open a session; tests replace this."""
        self.opened.append((providers, options.intra_op_num_threads))
        self.options.append(options)
        if providers != [CPU] and self.failure:
            raise self.failure

    def get_available_providers(self) -> list[str]:
        """Return the offered providers."""
        return self.offered


def preload_dlls() -> None:
    """Print a line, as onnxruntime's preload_dlls() does."""
    print("text that preload_dlls() prints")


def open_on(provider: str, threads: int | None = None) -> Any:
    """Open a session of a model that only a fake can open."""
    return session.open_session(b"model", "m.onnx", provider, threads).session


Fake = Callable[[list[str], list[str]], FakeOnnxruntime]
