"""Open the onnxruntime sessions of a model and check which provider they really use."""

import os
import re
from types import FunctionType
from typing import Any

from cgan_runtime.errors import InstallError, ProviderError
from cgan_runtime.inference.assignment import RECORD, count_nodes
from cgan_runtime.inference.forks import NATIVE_LOCK
from cgan_runtime.inference.native_errors import (
    convert_error,
    is_native,
    lacks_thread,
    one_line,
    raise_callers_exception,
)
from cgan_runtime.inference.threads import available_threads
from cgan_runtime.model_file.contract import BATCH_AXIS, ModelInfo, read_info
from cgan_runtime.model_file.validation.graph_validation import declared_specs
from cgan_runtime.providers import (
    AUTO,
    CPU,
    CUDA,
    STATIC_BATCH,
    SUFFIX,
    explain_not_offered,
    parse_provider,
    properties,
    short_name,
)
from cgan_runtime.thread_limit import startable_threads

CPU_PROVIDER = f"CPU{SUFFIX}"
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


def available_providers(onnxruntime: Any) -> dict[str, str]:
    """Return the providers of the installed onnxruntime: full names by short name."""
    names = onnxruntime.get_available_providers()
    return {short_name(name): name for name in names if name != REMOTE_PROVIDER}


def open_session(
    model: bytes,
    source: str,
    provider: str,
    threads: int | None,
    static_batch: int = STATIC_BATCH,
) -> Any:
    """Open a session; raise ProviderError if it does not get the requested provider.

    The provider is "cpu", "cuda" or another of available_providers(), by its short or its full
    name, with its options after a colon (see parse_provider). "auto" uses CUDA if a session gets
    it, otherwise the CPU, with a logged warning if onnxruntime offers CUDA. The CPU provider uses
    one thread for each CPU of the process if threads is None, and fewer if the system does not let
    it start as many. The dynamic batch size becomes static_batch for a provider that needs that.

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
    options.log_severity_level = 4
    options.intra_op_num_threads = startable_threads(threads or available_threads())
    options.inter_op_num_threads = 1
    # Spinning threads would keep a core of a small board busy between two images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if properties(name).static_batch:
        options.add_free_dimension_override_by_name(BATCH_AXIS, static_batch)
    names = available_providers(onnxruntime)
    opener = _Opener(onnxruntime, model, source, options)
    if name == AUTO and CUDA in names:
        try:
            return opener.open_on(names[CUDA], {})
        except ProviderError as error:
            import logging  # takes 2 ms or more, rarely needed

            logging.getLogger(__name__).warning("generating on the CPU: %s", error)
    if name in (AUTO, CPU):
        return opener.open_on_cpu()
    if name in names:
        return opener.open_on(names[name], provider_options)
    if name == CUDA:
        from cgan_runtime.inference.cuda_diagnostics import explain_cuda_not_offered

        raise ProviderError(f"the installed onnxruntime has no CUDA: {explain_cuda_not_offered()}")
    raise ProviderError(explain_not_offered(name, [*names]))


def read_session_info(session: Any, model: bytes, source: str) -> ModelInfo:
    """Return the metadata of an open model; raise ModelError if they break the contract."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if properties(short_name(session.get_providers()[0])).static_batch:
        inputs, outputs = declared_specs(model)
    return read_info(session.get_modelmeta().custom_metadata_map, inputs, outputs, source)


class _Opener:
    """Opens sessions of a model with the same onnxruntime.SessionOptions."""

    def __init__(self, onnxruntime: Any, model: bytes, source: str, options: Any) -> None:
        self._onnxruntime, self._model, self._source = onnxruntime, model, source
        self._options = options

    def open_on_cpu(self) -> Any:
        try:
            return self._create([CPU_PROVIDER], [{}])
        except Exception as error:
            if not is_native(error):
                raise
            version = self._onnxruntime.__version__
            remedy = f"use a newer onnxruntime than {version}, or export it again"
            raise convert_error(error, f"{self._source} cannot be opened", remedy) from error

    def open_on(self, provider: str, options: dict[str, str]) -> Any:
        """Open a session on a provider other than the CPU, which computes a part of the graph."""
        name = short_name(provider)
        if name == CUDA and hasattr(self._onnxruntime, "preload_dlls"):  # since 1.21
            _without_print(self._onnxruntime.preload_dlls)()  # loads NVIDIA's wheels
        # Open it on the CPU first, so that a broken file is not reported as a missing device.
        self.open_on_cpu()
        session, reason = self._try(provider, options)
        if session is not None:
            self._require_nodes(session, provider, options)
            return session
        if options and self._try(provider, {})[0] is not None:
            given = ",".join(f"{key}={value}" for key, value in options.items())
            raise ProviderError(
                f"{provider} refuses the options {given!r} ({reason}); correct or leave them out"
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
        """Return a session that has the provider, or else None and onnxruntime's reason."""
        all_options = {**properties(short_name(provider)).options, **options}
        self._options.add_session_config_entry(RECORD, "1")
        try:
            session = self._create([provider, CPU_PROVIDER], [all_options, {}])
        except Exception as error:
            if not is_native(error):
                raise
            return None, one_line(error)
        return (session if provider in session.get_providers() else None), "it gives no reason"

    def _require_nodes(self, session: Any, provider: str, options: dict[str, str]) -> None:
        def open_profiled(prefix: str) -> Any:
            self._options.enable_profiling, self._options.profile_file_prefix = True, prefix
            try:
                return self._try(provider, options)[0]
            finally:
                self._options.enable_profiling = False

        nodes = session.assigned_nodes = count_nodes(session, open_profiled)
        if nodes and not nodes.get(short_name(provider)):
            raise ProviderError(
                f"{provider} computes none of the {sum(nodes.values())} nodes of {self._source}; "
                "use the provider cpu"
            )

    def _create(self, providers: list[str], provider_options: list[dict[str, str]]) -> Any:
        """Create a session, with a single thread if onnxruntime cannot start others."""
        base: Any = self._onnxruntime.InferenceSession

        class Session(base):  # type: ignore[misc]
            # Where this is true, onnxruntime prints and uses another provider. Its constructor sets
            # it to true, and old releases ignore enable_fallback=0.
            _enable_fallback = property(lambda _: False, lambda *_: None)
            assigned_nodes: dict[str, int]

        arguments = self._model, self._options, providers, provider_options
        with NATIVE_LOCK:
            try:
                session = Session(*arguments, enable_fallback=0)
            except Exception as error:
                if self._options.intra_op_num_threads == 1 or not lacks_thread(error):
                    raise
                self._options.intra_op_num_threads = 1
                session = Session(*arguments, enable_fallback=0)
        return session


def _without_print(function: FunctionType) -> FunctionType:
    """Return a copy of a function that does not print, without a change to its module."""
    names = {**function.__globals__, "print": lambda *_, **__: None}
    return FunctionType(function.__code__, names, None, function.__defaults__)
