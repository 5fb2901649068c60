"""Open an onnxruntime session, and be honest about what it is."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from threading import Lock
from typing import Any

from cgan_runtime.errors import InstallError, ModelError, ProviderError
from cgan_runtime.inference.threads import available_threads

CPU, CUDA, AUTO = "cpu", "cuda", "auto"
SUFFIX = "ExecutionProvider"  # of onnxruntime's names
CPU_PROVIDER = f"CPU{SUFFIX}"
# On NVIDIA's GPUs from Ampere on, onnxruntime multiplies float32 with 10 bits of fraction, unless
# it is told not to (since 1.18). Integers, and the exact sums of int8 files, do not survive that.
PROVIDER_OPTIONS = {f"CUDA{SUFFIX}": {"use_tf32": "0"}}
REMOTE = f"Azure{SUFFIX}"  # asks a server: it is not here to draw on
NO_ROOM = "failed to map segment|annot allocate memory"  # as the dynamic linker says it
MOST_THREADS = 1024  # onnxruntime starts as many as it is told, and would use a machine up
_STDOUT = Lock()  # sys.stdout belongs to the process: one thread at a time may swap it


def import_onnxruntime() -> Any:
    """Import onnxruntime, with its telemetry off and its chatter kept to errors.

    Raises:
        InstallError: it is not installed.
        MemoryError: there is no room for it.
    """
    # Its Linux wheel of 1.32 keeps a device id under the home directory unless told not to.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)  # fatal errors; others come as exceptions
    except (ImportError, AttributeError) as error:  # an emptied folder imports as nothing
        if re.search(NO_ROOM, str(error)):
            raise MemoryError(str(error)) from error
        raise InstallError(
            "onnxruntime is missing or broken here; pip install 'cgan-runtime[cpu]', "
            f"or 'cgan-runtime[gpu]' for CUDA ({error})"
        ) from error
    return onnxruntime


def short_name(provider: str) -> str:
    """Return our word for one of onnxruntime's providers, such as "cuda"."""
    return provider.removesuffix(SUFFIX).lower()


def offered(onnxruntime: Any) -> dict[str, str]:
    """Return the providers of the installed onnxruntime: its names by ours."""
    names = onnxruntime.get_available_providers()
    return {short_name(name): name for name in names if name != REMOTE}


def open_session(model: bytes, source: str, provider: str, threads: int | None) -> Any:
    """Open a session on the provider asked for, and on no other.

    Args:
        model: the content of an ONNX file.
        source: its name, for messages.
        provider: "cpu", "cuda", or another of offered(); "auto": CUDA where a session gets it.
        threads: of the CPU provider; None takes one for each CPU of the process.

    Returns:
        The onnxruntime.InferenceSession.

    Raises:
        InstallError: onnxruntime is not installed.
        ProviderError: there is no such provider, or the session did not get it.
        ModelError: the content is not a model that this onnxruntime can open.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or available_threads()
    options.inter_op_num_threads = 1
    # A spinning thread burns a core of a small board between two images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    names = offered(onnxruntime)
    if provider == AUTO and CUDA in names:
        try:
            return _open_on(onnxruntime, names[CUDA], model, source, options)
        except ProviderError as error:
            print(f"note: drawing on the CPU: {error}", file=sys.stderr)
    if provider in (AUTO, CPU):
        return _open(onnxruntime, model, source, options, [CPU_PROVIDER])
    if provider in names:
        return _open_on(onnxruntime, names[provider], model, source, options)
    if provider == CUDA:
        from cgan_runtime.inference.cuda_diagnostics import explain_cuda_not_offered

        raise ProviderError(f"no CUDA in this onnxruntime: {explain_cuda_not_offered()}")
    raise ProviderError(f"no provider {provider!r} here; choose {', '.join([AUTO, *names])}")


def _open_on(onnxruntime: Any, provider: str, model: bytes, source: str, options: Any) -> Any:
    """Open a session on a provider other than the CPU.

    Raises:
        ProviderError: the session did not get it.
        ModelError: the content is not a model that this onnxruntime can open.
    """
    cuda = short_name(provider) == CUDA
    if cuda and hasattr(onnxruntime, "preload_dlls"):  # since 1.21: finds NVIDIA's own wheels
        with _without_prints():
            onnxruntime.preload_dlls()
    # The CPU first, alone: a broken file must not pass for a missing device.
    _open(onnxruntime, model, source, options, [CPU_PROVIDER])
    said = ""
    try:
        session = _open(onnxruntime, model, source, options, [provider, CPU_PROVIDER])
        if provider in session.get_providers():
            return session
    except ModelError as error:
        said = _in_a_line(error.__cause__)
    if cuda:
        from cgan_runtime.inference.cuda_diagnostics import explain_cuda_not_obtained

        reason = explain_cuda_not_obtained(onnxruntime, said)
    else:
        reason = f"{said or 'it does not say why'}; use --provider cpu"
    raise ProviderError(f"onnxruntime offers {provider}, but the session did not get it: {reason}")


def _open(
    onnxruntime: Any, model: bytes, source: str, options: Any, providers: Sequence[str]
) -> Any:
    try:
        with _without_prints():  # its Python fallback prints
            return onnxruntime.InferenceSession(
                model,
                options,
                providers=list(providers),
                provider_options=[PROVIDER_OPTIONS.get(each, {}) for each in providers],
                enable_fallback=0,
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
        raise failed_run(error, source) from error


def failed_run(error: Exception, source: str) -> Exception:
    """Return what to raise where onnxruntime raised this: ModelError or MemoryError."""
    reason = " ".join(str(error).split())
    if "bad_alloc" in reason or "Failed to allocate" in reason:
        return MemoryError(reason)
    return ModelError(f"{source} opens, but cannot be drawn with ({reason:.200}); export it again")


def _in_a_line(error: BaseException | None) -> str:
    """Return what onnxruntime says, without the place in its sources that it begins with."""
    words = re.sub(r"^\S+\.(cc|h):\d+ .*?\) ", "", " ".join(str(error).split()))
    return words[:200] or type(error).__name__


@contextmanager
def _without_prints() -> Iterator[None]:
    """Drop what is printed: on stdout it would spoil a picture, and errors say it in a line."""
    with _STDOUT, redirect_stdout(StringIO()):
        yield
