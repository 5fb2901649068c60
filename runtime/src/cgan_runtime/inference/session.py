"""Open an onnxruntime session and check which provider it really uses."""

import os
import re
from collections.abc import Iterator, Sequence
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
OUT_OF_MEMORY = "failed to map segment|annot allocate memory"  # messages of the dynamic linker
MAX_THREADS = 1024  # onnxruntime has no limit of its own and would start any number
_STDOUT_LOCK = Lock()  # sys.stdout belongs to the process: only one thread may replace it at a time


def import_onnxruntime() -> Any:
    """Import onnxruntime, with telemetry off and logging limited to fatal errors.

    Raises:
        InstallError: onnxruntime is not installed.
        MemoryError: there is not enough memory to load it.
    """
    # The Linux wheel of 1.32 stores a device id in the home directory unless this is set.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)  # fatal; other errors are raised as exceptions
    except (ImportError, AttributeError) as error:  # an emptied folder imports without attributes
        if re.search(OUT_OF_MEMORY, str(error)):
            raise MemoryError(str(error)) from error
        raise InstallError(
            "onnxruntime is missing or broken; pip install 'cgan-runtime[cpu]', "
            f"or 'cgan-runtime[gpu]' for CUDA ({error})"
        ) from error
    return onnxruntime


def short_name(provider: str) -> str:
    """Return the short name of an onnxruntime provider, such as "cuda"."""
    return provider.removesuffix(SUFFIX).lower()


def available_providers(onnxruntime: Any) -> dict[str, str]:
    """Return the providers of the installed onnxruntime: full names by short name."""
    names = onnxruntime.get_available_providers()
    return {short_name(name): name for name in names if name != REMOTE_PROVIDER}


def open_session(model: bytes, source: str, provider: str, threads: int | None) -> Any:
    """Open a session on the requested provider, and on no other.

    Args:
        model: content of an ONNX file.
        source: name of the file, for messages.
        provider: "cpu", "cuda" or another of available_providers(). "auto" uses CUDA if a session
            gets it, and otherwise the CPU; it logs a warning if onnxruntime offers CUDA but the
            session does not get it.
        threads: number of threads of the CPU provider; None uses one for each CPU of the process.

    Raises:
        InstallError: onnxruntime is not installed.
        ProviderError: the provider is unknown, or the session did not get it.
        ModelError: this onnxruntime cannot open the model.
    """
    onnxruntime = import_onnxruntime()
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
        return _open(onnxruntime, model, source, options, [CPU_PROVIDER])
    if provider in names:
        return _open_on(onnxruntime, names[provider], model, source, options)
    if provider == CUDA:
        from cgan_runtime.inference.cuda_diagnostics import explain_cuda_not_offered

        raise ProviderError(f"the installed onnxruntime has no CUDA: {explain_cuda_not_offered()}")
    raise ProviderError(
        f"provider {provider!r} is not available; choose from {', '.join([AUTO, *names])}"
    )


def _open_on(onnxruntime: Any, provider: str, model: bytes, source: str, options: Any) -> Any:
    """Open a session on a provider other than the CPU.

    Raises:
        ProviderError: the session did not get the provider.
        ModelError: this onnxruntime cannot open the model.
    """
    is_cuda = short_name(provider) == CUDA
    if is_cuda and hasattr(onnxruntime, "preload_dlls"):  # since 1.21: finds NVIDIA's own wheels
        with _suppress_stdout():
            onnxruntime.preload_dlls()
    # Open the model on the CPU first, so that a broken file is not reported as a missing device.
    _open(onnxruntime, model, source, options, [CPU_PROVIDER])
    reason = ""
    try:
        session = _open(onnxruntime, model, source, options, [provider, CPU_PROVIDER])
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


def _open(
    onnxruntime: Any, model: bytes, source: str, options: Any, providers: Sequence[str]
) -> Any:
    try:
        with _suppress_stdout():  # onnxruntime prints when it falls back to another provider
            return onnxruntime.InferenceSession(
                model,
                options,
                providers=list(providers),
                provider_options=[PROVIDER_OPTIONS.get(each, {}) for each in providers],
                enable_fallback=0,
            )
    except Exception as error:  # onnxruntime's exceptions have no other common base class
        raise ModelError(
            f"{source} cannot be opened: it is damaged, or needs a newer onnxruntime than "
            f"{onnxruntime.__version__}; copy or export it again"
        ) from error


def run_session(session: Any, output: str, feeds: dict[str, Any], source: str) -> Any:
    """Run a session and return one output; feeds holds an array for each input's name.

    Raises:
        ModelError: onnxruntime cannot run the model.
        MemoryError: there is not enough memory.
    """
    try:
        return session.run([output], feeds)[0]
    except Exception as error:  # onnxruntime's exceptions have no other common base class
        raise convert_run_error(error, source) from error


def convert_run_error(error: Exception, source: str) -> Exception:
    """Return the ModelError or MemoryError to raise for an exception of onnxruntime."""
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
