"""Open the onnxruntime sessions of a model and check which provider they really use."""

import os
import re
from types import FunctionType
from typing import Any

from cgan_runtime.errors import InstallError, ProviderError
from cgan_runtime.inference.forks import NATIVE_LOCK
from cgan_runtime.inference.native_errors import (
    convert_error,
    is_native,
    lacks_thread,
    one_line,
    raise_callers_exception,
)
from cgan_runtime.inference.thread_limit import startable_threads
from cgan_runtime.inference.threads import available_threads

CPU, CUDA, AUTO = "cpu", "cuda", "auto"
SUFFIX = "ExecutionProvider"  # of onnxruntime's provider names
CPU_PROVIDER = f"CPU{SUFFIX}"
# On NVIDIA GPUs since Ampere, onnxruntime multiplies float32 as TF32, with 10 bits of fraction,
# unless this option disables it (since 1.18). TF32 would break the exact sums of int8 models.
PROVIDER_OPTIONS = {f"CUDA{SUFFIX}": {"use_tf32": "0"}}
REMOTE_PROVIDER = f"Azure{SUFFIX}"  # calls a server, so it is never used
LINKER_OUT_OF_MEMORY = "failed to map segment|[Cc]annot allocate memory"  # of the dynamic linker
MAX_THREADS = 1024  # onnxruntime has no limit of its own and would start any number


def import_onnxruntime() -> Any:
    """Import onnxruntime, with telemetry off."""
    # The Linux wheel of 1.32 stores a device id in the home directory unless this is set.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        with NATIVE_LOCK:
            import onnxruntime

        onnxruntime.InferenceSession  # noqa: B018 - an empty folder lacks it
    except (ImportError, AttributeError) as error:
        if re.search(LINKER_OUT_OF_MEMORY, str(error)):
            raise MemoryError(str(error)) from error
        raise_callers_exception(error)
        raise InstallError(
            "onnxruntime is missing or broken; pip install 'cgan-runtime[cpu]', "
            f"or 'cgan-runtime[gpu]' for CUDA ({error})"
        ) from error
    return onnxruntime


def limit_log() -> None:
    """Limit onnxruntime's log to fatal errors; the others are raised as exceptions.

    The setting applies to the whole process, so only a command calls this function.
    """
    import_onnxruntime().set_default_logger_severity(4)


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
    is None, and fewer if the system does not let it start as many.

    Raises:
        InstallError: onnxruntime is not installed.
        ProviderError: the provider is unknown, or the session did not get it.
        ModelError: this onnxruntime cannot open the model.
        MemoryError: there is not enough memory.
        CganError: onnxruntime cannot start a thread.
    """
    onnxruntime, provider = import_onnxruntime(), short_name(provider)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = startable_threads(threads or available_threads())
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
        _without_print(onnxruntime.preload_dlls)()
    # Open the model on the CPU first, so that a broken file is not reported as a missing device.
    _open(onnxruntime, [CPU_PROVIDER], model, source, options)
    reason = ""
    try:
        session = _create(onnxruntime, [provider, CPU_PROVIDER], model, options)
        if provider in session.get_providers():
            return session
    except Exception as error:
        if not is_native(error):
            raise
        reason = one_line(error)
    if is_cuda:
        from cgan_runtime.inference.cuda_diagnostics import explain_cuda_not_obtained

        explanation = explain_cuda_not_obtained(onnxruntime, reason)
    else:
        explanation = f"{reason or 'it gives no reason'}; use --provider cpu"
    raise ProviderError(
        f"onnxruntime offers {provider}, but the session did not get it: {explanation}"
    )


def _open(onnxruntime: Any, providers: list[str], model: bytes, source: str, options: Any) -> Any:
    try:
        return _create(onnxruntime, providers, model, options)
    except Exception as error:
        if not is_native(error):
            raise
        remedy = f"use a newer onnxruntime than {onnxruntime.__version__}, or export it again"
        raise convert_error(error, f"{source} cannot be opened", remedy) from error


def _create(onnxruntime: Any, providers: list[str], model: bytes, options: Any) -> Any:
    """Create a session, with a single thread if onnxruntime cannot start others."""
    provider_options = [PROVIDER_OPTIONS.get(each, {}) for each in providers]

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
        # Where this is true, onnxruntime prints and uses another provider. Its constructor sets
        # it to true, and old releases ignore enable_fallback=0.
        _enable_fallback = property(lambda _: False, lambda *_: None)

    arguments = model, options, providers, provider_options
    with NATIVE_LOCK:
        try:
            session = Session(*arguments, enable_fallback=0)
        except Exception as error:
            if options.intra_op_num_threads == 1 or not lacks_thread(error):
                raise
            options.intra_op_num_threads = 1
            session = Session(*arguments, enable_fallback=0)
    return session


def _without_print(function: FunctionType) -> FunctionType:
    """Return a copy of a function that does not print, without a change to its module."""
    names = {**function.__globals__, "print": lambda *_, **__: None}
    return FunctionType(function.__code__, names, None, function.__defaults__)
