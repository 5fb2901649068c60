"""Open the onnxruntime sessions of a model and check which provider they really use."""

import os
import re
from types import FunctionType
from typing import Any, NamedTuple

from cgan_runtime.errors import InstallError, ProviderError
from cgan_runtime.inference.forks import NATIVE_LOCK
from cgan_runtime.inference.native_errors import (
    NO_REASON,
    convert_error,
    is_native,
    lacks_thread,
    one_line,
    reraise_signal_exception,
)
from cgan_runtime.inference.node_assignment import RECORD_ASSIGNMENT, count_nodes
from cgan_runtime.inference.threads import available_threads
from cgan_runtime.model_file.contract import BATCH_AXIS, ModelInfo, read_info
from cgan_runtime.model_file.validation.graph_validation import declared_specs
from cgan_runtime.providers import (
    AUTO,
    CPU,
    CUDA,
    FIXED_BATCH_SIZE,
    SUFFIX,
    explain_not_offered,
    find_provider,
    parse_provider,
    short_name,
)
from cgan_runtime.thread_limit import startable_threads

CPU_PROVIDER = f"CPU{SUFFIX}"
REMOTE_PROVIDER = f"Azure{SUFFIX}"  # calls a server, so it is never used
# Messages of the dynamic linker.
LINKER_OUT_OF_MEMORY = "failed to map segment|[Cc]annot allocate memory"
FATAL = 4  # onnxruntime's severity of fatal errors


class OpenSession(NamedTuple):
    """Result of open_session()."""

    session: Any  # onnxruntime.InferenceSession
    node_counts: dict[str, int]  # number of graph nodes by provider; {} for the CPU or if unknown
    no_cuda_reason: str | None  # why "auto" does not use CUDA although onnxruntime offers it


def import_onnxruntime() -> Any:
    """Import onnxruntime, with telemetry off."""
    # Without this variable, the Linux wheel of 1.32 stores a device id in the home directory.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        with NATIVE_LOCK:
            import onnxruntime

        onnxruntime.InferenceSession  # noqa: B018 - missing if Python imports an empty folder
    except (ImportError, AttributeError) as error:
        if re.search(LINKER_OUT_OF_MEMORY, str(error)):
            raise MemoryError(str(error)) from error
        reraise_signal_exception(error)
        raise InstallError(
            "onnxruntime is missing or broken; pip install 'cgan-runtime[cpu]', "
            f"or 'cgan-runtime[gpu]' for CUDA ({error})"
        ) from error
    return onnxruntime


def limit_log() -> None:
    """Limit onnxruntime's log to fatal errors; other errors are raised as exceptions.

    The setting applies to the whole process, so only a command calls this function.
    """
    import_onnxruntime().set_default_logger_severity(FATAL)


def available_providers(onnxruntime: Any) -> dict[str, str]:
    """Return the providers of the installed onnxruntime: full names by short name."""
    names = onnxruntime.get_available_providers()
    return {short_name(name): name for name in names if name != REMOTE_PROVIDER}


def open_session(
    model: bytes,
    source: str,
    provider: str,
    threads: int | None,
    fixed_batch_size: int = FIXED_BATCH_SIZE,
) -> OpenSession:
    """Open a session; raise ProviderError if it does not get the requested provider.

    Args:
        model: content of the model file.
        source: path of the model file, for messages.
        provider: short or full name of a provider of available_providers(), with its options after
            a colon (see parse_provider). "auto" uses CUDA if a session gets it, otherwise the CPU,
            with a logged warning if onnxruntime offers CUDA.
        threads: number of threads of the CPU provider; None uses one thread per CPU of the process.
            The session has fewer if the system refuses to start this many.
        fixed_batch_size: batch size for a provider that needs a fixed one.

    Raises:
        InputError: the options of the provider are malformed.
        InstallError: onnxruntime is not installed.
        ProviderError: the provider is unknown, or the session did not get it.
        ModelError: this onnxruntime cannot open the model.
        MemoryError: there is not enough memory.
        CganError: onnxruntime cannot start a thread.
    """
    name, provider_options = parse_provider(provider)
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = startable_threads(threads or available_threads())
    options.inter_op_num_threads = 1
    # Spinning threads would keep a core of a small board busy between two images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if find_provider(name).needs_fixed_batch:
        options.add_free_dimension_override_by_name(BATCH_AXIS, fixed_batch_size)
    names = available_providers(onnxruntime)
    opener = _Opener(onnxruntime, model, source, options)
    no_cuda_reason = None
    if name == AUTO and CUDA in names:
        try:
            return OpenSession(*opener.open_on(names[CUDA], {}), no_cuda_reason)
        except ProviderError as error:
            import logging  # takes 2 ms or more, rarely needed

            no_cuda_reason = str(error)
            logging.getLogger(__name__).warning("generating on the CPU: %s", no_cuda_reason)
    if name in (AUTO, CPU):
        return OpenSession(opener.open_on_cpu(), {}, no_cuda_reason)
    if name in names:
        return OpenSession(*opener.open_on(names[name], provider_options), no_cuda_reason)
    if name == CUDA:
        from cgan_runtime.inference.cuda_diagnostics import explain_cuda_not_offered

        raise ProviderError(f"the installed onnxruntime has no CUDA: {explain_cuda_not_offered()}")
    raise ProviderError(explain_not_offered(name, [*names]))


def read_session_info(session: Any, model: bytes, source: str) -> ModelInfo:
    """Return the metadata of an open model; raise ModelError if it breaks the contract."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if find_provider(short_name(session.get_providers()[0])).needs_fixed_batch:
        inputs, outputs = declared_specs(model)
    return read_info(session.get_modelmeta().custom_metadata_map, inputs, outputs, source)


class _Opener:
    """Opens sessions of a model on several providers, with shared onnxruntime.SessionOptions."""

    def __init__(self, onnxruntime: Any, model: bytes, source: str, options: Any) -> None:
        self._onnxruntime, self._model, self._source = onnxruntime, model, source
        self._options = options
        self._session_class = _without_fallback(onnxruntime.InferenceSession)

    def open_on_cpu(self) -> Any:
        try:
            return self._create([CPU_PROVIDER], [{}])
        except Exception as error:
            if not is_native(error):
                raise
            version = self._onnxruntime.__version__
            remedy = f"use a newer onnxruntime than {version}, or export it again"
            raise convert_error(error, f"{self._source} cannot be opened", remedy) from error

    def open_on(self, provider: str, options: dict[str, str]) -> tuple[Any, dict[str, int]]:
        """Open a session on a provider other than the CPU, and count the nodes by provider.

        Raise ProviderError if the provider does not compute any node.
        """
        name = short_name(provider)
        if name == CUDA and hasattr(self._onnxruntime, "preload_dlls"):  # since 1.21
            _without_print(self._onnxruntime.preload_dlls)()  # loads NVIDIA's wheels
        # Open the model on the CPU first: otherwise a broken file looks like a missing device.
        self.open_on_cpu()
        session, reason = self._try(provider, options)
        if session is not None:
            return session, self._count_nodes(session, provider, options)
        if options and self._try(provider, {})[0] is not None:
            given = ",".join(f"{key}={value}" for key, value in options.items())
            raise ProviderError(
                f"{provider} refuses the options {given!r} ({reason}); correct them or leave them "
                "out"
            )
        if name == CUDA:
            from cgan_runtime.inference.cuda_diagnostics import explain_cuda_not_obtained

            explanation = explain_cuda_not_obtained(self._onnxruntime, reason)
        else:
            explanation = f"{reason}; use the provider cpu"
        raise ProviderError(
            f"onnxruntime offers {provider}, but the session did not get it: {explanation}"
        )

    def _try(self, provider: str, options: dict[str, str]) -> tuple[Any, str]:
        """Return a session that has the provider, or None and onnxruntime's reason."""
        all_options = {**find_provider(short_name(provider)).options, **options}
        self._options.add_session_config_entry(RECORD_ASSIGNMENT, "1")
        try:
            session = self._create([provider, CPU_PROVIDER], [all_options, {}])
        except Exception as error:
            if not is_native(error):
                raise
            return None, one_line(error)
        if provider not in session.get_providers():
            return None, NO_REASON
        return session, ""

    def _count_nodes(self, session: Any, provider: str, options: dict[str, str]) -> dict[str, int]:
        """Return the number of nodes by provider; raise ProviderError if this one has none."""

        def open_profiled(prefix: str) -> Any:
            self._options.enable_profiling, self._options.profile_file_prefix = True, prefix
            try:
                return self._try(provider, options)[0]
            finally:
                self._options.enable_profiling = False

        counts = count_nodes(session, open_profiled)
        if counts and not counts.get(short_name(provider)):
            raise ProviderError(
                f"{provider} computes none of the {sum(counts.values())} nodes of {self._source}; "
                "use the provider cpu"
            )
        return counts

    def _create(self, providers: list[str], provider_options: list[dict[str, str]]) -> Any:
        """Create a session, with a single thread if onnxruntime cannot start more."""

        def create() -> Any:
            return self._session_class(
                self._model, self._options, providers, provider_options, enable_fallback=0
            )

        # There is no `return create()` within the block: an exception of a signal handler right
        # after that call would leave the lock held.
        with NATIVE_LOCK:
            try:
                session = create()
            except Exception as error:
                if self._options.intra_op_num_threads == 1 or not lacks_thread(error):
                    raise
                self._options.intra_op_num_threads = 1
                session = create()
        return session


def _without_fallback(session_class: Any) -> Any:
    """Return a subclass of onnxruntime.InferenceSession that raises if a provider fails.

    While _enable_fallback is true, onnxruntime prints a message and uses another provider instead.
    This class ignores assignments, because old releases set it to true despite enable_fallback=0.
    """

    class Session(session_class):  # type: ignore[misc]
        _enable_fallback = property(lambda _: False, lambda *_: None)

    return Session


def _without_print(function: FunctionType) -> FunctionType:
    """Return a copy of a function in which print() does nothing.

    Its module stays unchanged, and so does sys.stdout, which other threads may use.
    """
    names = {**function.__globals__, "print": lambda *_, **__: None}
    return FunctionType(function.__code__, names, None, function.__defaults__)
