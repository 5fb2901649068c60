"""Distinguish onnxruntime's exceptions from those of the user's code, and convert them.

A signal handler or a trace function of the user can raise an exception while onnxruntime runs. Such
an exception must pass unchanged.
"""

import re

from cgan_runtime.errors import CganError, ModelError

PACKAGE = "onnxruntime"
# pybind11 raises these for C++ exceptions other than onnxruntime's (pybind11: "Exceptions").
TRANSLATED = (RuntimeError, ValueError, IndexError, OverflowError)
NO_REASON = "onnxruntime gives no reason"
OUT_OF_MEMORY = "bad_alloc|Failed to allocate"
NO_THREAD = "pthread_create failed|_beginthreadex|CreateThread"  # the last two are from Windows
THREAD_REMEDY = "raise the limit on threads (ulimit -u, or the pids limit of the container)"


def _raised_inside(error: Exception) -> bool:
    """Return whether the last function in the traceback belongs to onnxruntime.

    If a signal handler raised the exception, the last function is the handler. C code does not
    appear in tracebacks.
    """
    trace, module = error.__traceback__, ""
    while trace is not None:
        module, trace = trace.tb_frame.f_globals.get("__name__") or "", trace.tb_next
    return module.partition(".")[0] == PACKAGE


def is_native(error: Exception) -> bool:
    """Return whether onnxruntime raised an exception, rather than a signal handler of the user."""
    if type(error).__module__.partition(".")[0] == PACKAGE:
        return True
    return type(error) in TRANSLATED and _raised_inside(error)


def reraise_signal_exception(error: BaseException) -> None:
    """Raise the exception of a signal handler that is the cause of this error, if there is one.

    Native modules turn an exception that a signal handler raises during their import into an
    ImportError.
    """
    cause = error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, TimeoutError) or not isinstance(cause, Exception):
            error.__cause__ = error.__context__ = None  # otherwise the chain would be a cycle
            raise cause
        cause = cause.__cause__ or cause.__context__


def lacks_thread(error: Exception) -> bool:
    """Return whether onnxruntime could not start a thread."""
    return is_native(error) and re.search(NO_THREAD, str(error)) is not None


def one_line(error: Exception) -> str:
    """Return onnxruntime's message without the source location at its beginning."""
    text = re.sub(r"^\S+\.(cc|h):\d+ .*?\) ", "", " ".join(str(error).split()))
    return text[:200] or type(error).__name__


def convert_error(error: Exception, problem: str, remedy: str) -> Exception:
    """Return the exception to raise for an exception of onnxruntime.

    Args:
        error: the exception.
        problem: what onnxruntime could not do, such as "m.onnx cannot be opened".
        remedy: what to do if the cause is neither memory nor threads.
    """
    if re.search(OUT_OF_MEMORY, str(error)):
        return MemoryError(one_line(error))
    if lacks_thread(error):
        return CganError(f"{problem}: onnxruntime cannot start a thread; {THREAD_REMEDY}")
    return ModelError(f"{problem} ({one_line(error)}); {remedy}")


def convert_run_error(error: Exception, source: str) -> Exception:
    """Return the exception to raise for an exception of onnxruntime during a run."""
    return convert_error(error, f"{source} can be opened, but not run", "export it again")
