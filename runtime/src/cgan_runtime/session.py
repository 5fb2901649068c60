"""Open an onnxruntime session, and be honest about what it is."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from threading import Lock
from typing import Any

from cgan_runtime.errors import InstallError, ModelError, ProviderError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
MOST_THREADS = 1024  # onnxruntime starts as many as it is told, and would use a machine up
_STDOUT = Lock()  # sys.stdout belongs to the process: one thread at a time may swap it


def import_onnxruntime() -> Any:
    """Import onnxruntime, with its telemetry off and its chatter kept to errors.

    Raises:
        InstallError: it is not installed.
    """
    # Its Linux wheel of 1.32 keeps a device id under the home directory unless told not to.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)  # fatal errors; others come as exceptions
    except (ImportError, AttributeError) as error:  # an emptied folder imports as nothing
        raise InstallError(
            "onnxruntime is missing or broken here; pip install 'cgan-runtime[cpu]', "
            f"or 'cgan-runtime[gpu]' for CUDA ({error})"
        ) from error
    return onnxruntime


def available_threads() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def open_session(model: bytes, source: str, provider: str, threads: int | None) -> Any:
    """Open a session on the provider asked for, and on no other.

    Args:
        model: the content of an ONNX file.
        source: its name, for messages.
        provider: "cpu", "cuda", or "auto": CUDA where a session really gets it.
        threads: of the CPU provider; None takes one for each CPU of the process.

    Returns:
        The onnxruntime.InferenceSession.

    Raises:
        InstallError: onnxruntime is not installed.
        ProviderError: there is no such provider, or the session did not get it.
        ModelError: the content is not a model that this onnxruntime can open.
    """
    if provider not in ("auto", *PROVIDERS):
        raise ProviderError(f"no provider {provider!r}; choose auto, {', '.join(PROVIDERS)}")
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or available_threads()
    options.inter_op_num_threads = 1
    # A spinning thread burns a core of a small board between two images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if provider == "cuda" or (provider == "auto" and _offered(onnxruntime, "cuda")):
        try:
            return _open_cuda(onnxruntime, model, source, options)
        except ProviderError as error:
            if provider == "cuda":
                raise
            print(f"note: drawing on the CPU: {error}", file=sys.stderr)
    return _open(onnxruntime, model, source, options, [PROVIDERS["cpu"]])


def _open_cuda(onnxruntime: Any, model: bytes, source: str, options: Any) -> Any:
    if not _offered(onnxruntime, "cuda"):
        raise ProviderError(f"no CUDA in this onnxruntime: {why_not_cuda()}")
    if hasattr(onnxruntime, "preload_dlls"):  # since 1.21: finds NVIDIA's own wheels
        with _prints_to_stderr():
            onnxruntime.preload_dlls()
    # The CPU first, alone: a broken file must not pass for a missing GPU.
    _open(onnxruntime, model, source, options, [PROVIDERS["cpu"]])
    try:
        session = _open(onnxruntime, model, source, options, [PROVIDERS["cuda"], PROVIDERS["cpu"]])
        obtained = PROVIDERS["cuda"] in session.get_providers()
        reason = "a library (CUDA, cuDNN) or a device is missing"
    except ModelError as error:
        reason = " ".join(str(error.__cause__).split())[:200] or type(error.__cause__).__name__
        obtained = False
    if not obtained:
        raise ProviderError(
            f"onnxruntime offers CUDA, but the session did not get it ({reason}); "
            "install NVIDIA's driver, CUDA and cuDNN, or use --provider cpu"
        )
    return session


def _open(
    onnxruntime: Any, model: bytes, source: str, options: Any, providers: Sequence[str]
) -> Any:
    try:
        with _prints_to_stderr():  # its Python fallback prints
            return onnxruntime.InferenceSession(
                model, options, providers=list(providers), enable_fallback=0
            )
    except Exception as error:  # its exceptions share no base but this one
        raise ModelError(
            f"{source} cannot be opened: it is damaged, or needs a newer onnxruntime than "
            f"{onnxruntime.__version__}; copy or export it again"
        ) from error


def run_session(session: Any, output: str, feeds: dict[str, Any], source: str) -> Any:
    """Run a session and return one output.

    Args:
        session: of open_session().
        output: the output's name.
        feeds: arrays, by input's name.
        source: the model's name, for messages.

    Raises:
        ModelError: the graph cannot be computed.
        MemoryError: there is not enough memory for it.
    """
    try:
        return session.run([output], feeds)[0]
    except Exception as error:  # its exceptions share no base but this one
        reason = " ".join(str(error).split())
        if "bad_alloc" in reason or "Failed to allocate" in reason:
            raise MemoryError(reason) from error
        raise ModelError(
            f"{source} opens, but cannot be drawn with ({reason:.200}); export it again"
        ) from error


@contextmanager
def _prints_to_stderr() -> Iterator[None]:
    with _STDOUT, redirect_stdout(sys.stderr):
        yield


def _offered(onnxruntime: Any, provider: str) -> bool:
    return PROVIDERS[provider] in onnxruntime.get_available_providers()


def why_not_cuda() -> str:
    """Return why the installed onnxruntime offers no CUDA, and what to do about it."""
    if _installed("onnxruntime-gpu"):
        return (
            "onnxruntime and onnxruntime-gpu are both installed and the former overwrote the "
            "latter; pip uninstall -y onnxruntime onnxruntime-gpu, then "
            "pip install 'cgan-runtime[gpu]', or use --provider cpu"
            if _installed("onnxruntime")
            else "the onnxruntime-gpu installed here has none for this platform; use --provider cpu"
        )
    return (
        "it is the CPU build; pip uninstall -y onnxruntime, then "
        "pip install 'cgan-runtime[gpu]', or use --provider cpu"
    )


def _installed(distribution: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version  # 20 ms, and seldom needed

    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
