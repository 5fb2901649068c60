"""Open the onnxruntime sessions of a model and check which provider they really use."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from threading import Lock
from typing import Any

from cgan_runtime.errors import InstallError, ModelError, ProviderError
from cgan_runtime.inference.threads import available_threads

CPU, CUDA, AUTO = "cpu", "cuda", "auto"
SUFFIX = "ExecutionProvider"  # of onnxruntime's provider names
CPU_PROVIDER = f"CPU{SUFFIX}"
# On NVIDIA GPUs since Ampere, onnxruntime multiplies float32 as TF32, with 10 bits of fraction,
# unless this option disables it (since 1.18). TF32 would break the exact sums of int8 models.
PROVIDER_OPTIONS = {f"CUDA{SUFFIX}": {"use_tf32": "0"}}
REMOTE_PROVIDER = f"Azure{SUFFIX}"  # calls a server, so it is never used
OUT_OF_MEMORY = "failed to map segment|[Cc]annot allocate memory"  # messages of the dynamic linker
MAX_THREADS = 1024  # onnxruntime has no limit of its own and would start any number
# One thread is faster up to this number of bytes: the size of the model times the batch size.
MAX_SINGLE_THREAD_BYTES = 32 * 2**20
_STDOUT_LOCK = Lock()  # sys.stdout belongs to the process: only one thread may replace it at a time


class SessionPool:
    """A session with all threads, and one with a single thread, opened at the first small batch.

    Waking threads takes longer than a small network takes for a few images (docs/design/0012). The
    arguments and errors are those of open_session().
    """

    def __init__(self, content: bytes, source: str, provider: str, threads: int | None) -> None:
        threads = threads or available_threads()
        self.main = open_session(content, source, provider, threads)
        self.provider = short_name(self.main.get_providers()[0])
        use_two = self.provider == CPU and threads > 1
        self._max_single_thread_batch = MAX_SINGLE_THREAD_BYTES // len(content) if use_two else 0
        self._content = content if self._max_single_thread_batch else b""
        self._source, self._lock = source, Lock()
        self._single_threaded: Any = None

    def for_batch(self, size: int) -> Any:
        """Return the onnxruntime.InferenceSession that is faster for this number of images."""
        if size > self._max_single_thread_batch:
            return self.main
        with self._lock:
            if self._single_threaded is None:
                self._single_threaded = open_session(self._content, self._source, CPU, 1)
                self._content = b""
        return self._single_threaded


def import_onnxruntime() -> Any:
    """Import onnxruntime, with telemetry off and logging limited to fatal errors."""
    # The Linux wheel of 1.32 stores a device id in the home directory unless this is set.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)  # fatal; other errors are raised as exceptions
    except (ImportError, AttributeError) as error:  # AttributeError: an empty folder was imported
        if re.search(OUT_OF_MEMORY, str(error)):
            raise MemoryError(str(error)) from error
        _raise_callers_exception(error)
        raise InstallError(
            "onnxruntime is missing or broken; pip install 'cgan-runtime[cpu]', "
            f"or 'cgan-runtime[gpu]' for CUDA ({error})"
        ) from error
    return onnxruntime


def _raise_callers_exception(error: BaseException) -> None:
    """Raise the exception of a signal handler that a native module has turned into this error."""
    cause = error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, TimeoutError) or not isinstance(cause, Exception):
            error.__cause__ = error.__context__ = None  # otherwise the chain would be a cycle
            raise cause
        cause = cause.__cause__ or cause.__context__


def short_name(provider: str) -> str:
    """Return the short name of an onnxruntime provider, such as "cuda"."""
    return provider.removesuffix(SUFFIX).lower()


def available_providers(onnxruntime: Any) -> dict[str, str]:
    """Return the providers of the installed onnxruntime: full names by short name."""
    names = onnxruntime.get_available_providers()
    return {short_name(name): name for name in names if name != REMOTE_PROVIDER}


def open_session(model: bytes, source: str, provider: str, threads: int | None) -> Any:
    """Open a session; raise ProviderError if it does not get the requested provider.

    The provider is "cpu", "cuda" or another of available_providers(), by its short or its full
    name. "auto" uses CUDA if a session gets it, otherwise the CPU, with a logged warning if
    onnxruntime offers CUDA. The CPU provider uses one thread for each CPU of the process if threads
    is None.

    Raises:
        InstallError: onnxruntime is not installed.
        ProviderError: the provider is unknown, or the session did not get it.
        ModelError: this onnxruntime cannot open the model.
    """
    onnxruntime, provider = import_onnxruntime(), short_name(provider)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or available_threads()
    options.inter_op_num_threads = 1
    # Spinning threads would keep a core of a small board busy between two images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    names = available_providers(onnxruntime)
    if provider == AUTO and CUDA in names:
        try:
            return _open_on(onnxruntime, names[CUDA], model, source, options)
        except ProviderError as error:
            import logging  # takes 2 ms or more, rarely needed

            logging.getLogger(__name__).warning("generating on the CPU: %s", error)
    if provider in (AUTO, CPU):
        return _open(onnxruntime, [CPU_PROVIDER], model, source, options)
    if provider in names:
        return _open_on(onnxruntime, names[provider], model, source, options)
    if provider == CUDA:
        from cgan_runtime.inference.cuda_diagnostics import explain_cuda_not_offered

        raise ProviderError(f"the installed onnxruntime has no CUDA: {explain_cuda_not_offered()}")
    raise ProviderError(
        f"provider {provider!r} is not available; choose from {', '.join([AUTO, *names])}"
    )


def _open_on(onnxruntime: Any, provider: str, model: bytes, source: str, options: Any) -> Any:
    """Open a session on a provider other than the CPU."""
    is_cuda = short_name(provider) == CUDA
    if is_cuda and hasattr(onnxruntime, "preload_dlls"):  # since 1.21: loads NVIDIA's wheels
        with _suppress_stdout():
            onnxruntime.preload_dlls()
    # Open the model on the CPU first, so that a broken file is not reported as a missing device.
    _open(onnxruntime, [CPU_PROVIDER], model, source, options)
    reason = ""
    try:
        session = _open(onnxruntime, [provider, CPU_PROVIDER], model, source, options)
        if provider in session.get_providers():
            return session
    except ModelError as error:
        reason = _one_line(error.__cause__)
    if is_cuda:
        from cgan_runtime.inference.cuda_diagnostics import explain_cuda_not_obtained

        explanation = explain_cuda_not_obtained(onnxruntime, reason)
    else:
        explanation = f"{reason or 'it gives no reason'}; use --provider cpu"
    raise ProviderError(
        f"onnxruntime offers {provider}, but the session did not get it: {explanation}"
    )


def _open(onnxruntime: Any, providers: list[str], model: bytes, source: str, options: Any) -> Any:
    provider_options = [PROVIDER_OPTIONS.get(each, {}) for each in providers]
    try:
        with _suppress_stdout():  # onnxruntime prints when it falls back to another provider
            return onnxruntime.InferenceSession(
                model, options, providers, provider_options, enable_fallback=0
            )
    except Exception as error:  # onnxruntime's exceptions have no other common base class
        raise ModelError(
            f"{source} cannot be opened: it is damaged, or needs a newer onnxruntime than "
            f"{onnxruntime.__version__}; copy or export it again"
        ) from error


def convert_run_error(error: Exception, source: str) -> Exception:
    """Return the ModelError or MemoryError to raise for an exception of session.run()."""
    reason = " ".join(str(error).split())
    if "bad_alloc" in reason or "Failed to allocate" in reason:
        return MemoryError(reason)
    return ModelError(f"{source} can be opened, but not run ({reason:.200}); export it again")


def _one_line(error: BaseException | None) -> str:
    """Return onnxruntime's message without the source location at its beginning."""
    text = re.sub(r"^\S+\.(cc|h):\d+ .*?\) ", "", " ".join(str(error).split()))
    return text[:200] or type(error).__name__


@contextmanager
def _suppress_stdout() -> Iterator[None]:
    """Discard what onnxruntime prints, which would corrupt an image that is written to stdout."""
    with _STDOUT_LOCK, redirect_stdout(StringIO()):
        yield
