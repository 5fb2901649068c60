"""Which provider a session gets, its options, and which nodes it computes."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from commands import Command
from fake_onnxruntime import AZURE, COREML, CPU, CUDA, Fake, NativeError, open_on

from cgan_runtime import providers
from cgan_runtime.diagnostics.device_check import check_device
from cgan_runtime.errors import InputError, ProviderError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.inference import node_assignment
from cgan_runtime.inference.session import open_session
from cgan_runtime.model_file.validation.graph_validation import validate_model
from cgan_runtime.providers import PROVIDERS, parse_provider

ONNXRUNTIME_OFFERS = onnxruntime.get_available_providers()
EDGE = Path(__file__).parents[2] / "docs" / "edge.md"


@pytest.mark.parametrize("provider", ["tpu", "", "azure", AZURE])
def test_unknown_provider_is_rejected(tiny_model: Path, provider: str) -> None:
    with pytest.raises(ProviderError) as caught:
        ImageGenerator(tiny_model, provider)
    name = provider.removesuffix("ExecutionProvider").lower()
    assert str(caught.value) == f"provider {name!r} is not available; choose from auto, cpu"


@pytest.mark.parametrize("provider", [CPU, "CPU", "Cpu"])
def test_provider_is_accepted_by_its_full_name(tiny_model: Path, provider: str) -> None:
    with ImageGenerator(tiny_model, provider) as generator:
        assert generator.provider == "cpu"


@pytest.mark.parametrize("provider", ["auto", "cpu"])
def test_cpu_build_uses_the_cpu_silently(
    tiny_model: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    provider: str,
) -> None:
    with ImageGenerator(tiny_model, provider) as generator:
        assert generator.provider == "cpu"
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.parametrize("provider", ["cuda", "auto"])
def test_cuda_session_disables_tf32(fake: Fake, provider: str) -> None:
    module = fake([CUDA, CPU], [CUDA, CPU])
    assert open_on(provider).get_providers() == [CUDA, CPU]
    assert module.provider_options == [{"use_tf32": "0"}, {}]


def test_cpu_is_used_although_cuda_is_offered(fake: Fake) -> None:
    module = fake([CUDA, CPU], [CUDA, CPU])
    open_on("cpu")
    assert [providers for providers, _ in module.opened] == [[CPU]]


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without NVIDIA's driver."""

    def fail(name: str, **_: object) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("cgan_runtime.inference.cuda_diagnostics.ctypes.CDLL", fail)


@pytest.mark.usefixtures("no_driver")
@pytest.mark.parametrize("failure", [None, NativeError("no\ndevice"), NativeError()], ids=repr)
def test_missing_cuda_is_explained(
    fake: Fake,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    failure: Exception | None,
) -> None:
    fake([CUDA, CPU], [CPU]).failure = failure
    with pytest.raises(ProviderError, match="but the session did not get it: NVIDIA's") as caught:
        open_on("cuda")
    message = str(caught.value)
    assert message.endswith("; install it, or use the provider cpu")
    assert "\n" not in message
    assert open_on("auto").get_providers() == [CPU]
    assert caplog.record_tuples == [
        ("cgan_runtime.inference.session", logging.WARNING, f"generating on the CPU: {message}")
    ]
    assert not capfd.readouterr().out


def test_warning_is_printed_on_stderr(tiny_model: Path) -> None:
    """Python's logging prints it if the program does not configure logging."""
    code = f"""
import onnxruntime
from cgan_runtime import ImageGenerator, ProviderError
from cgan_runtime.inference import session
def fail(*_): raise ProviderError("no driver; install it")
session._Opener.open_on = fail
onnxruntime.get_available_providers = lambda: [{CUDA!r}, {CPU!r}]
ImageGenerator({str(tiny_model)!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == "generating on the CPU: no driver; install it\n"


@pytest.mark.parametrize(
    ("failure", "ending"),
    [
        (None, "onnxruntime gives no reason; use the provider cpu"),
        (NativeError("model too\nold"), "model too old; use the provider cpu"),
        (
            NativeError("/src/a.cc:729 void f(int&, b) Install it"),
            "Install it; use the provider cpu",
        ),
        (NativeError(), "NativeError; use the provider cpu"),
    ],
    ids=["no error", "a message", "a message with its location", "no message"],
)
def test_another_missing_provider_is_explained(
    fake: Fake, failure: Exception | None, ending: str
) -> None:
    fake([COREML, CPU], [CPU]).failure = failure
    with pytest.raises(ProviderError, match=f"offers {COREML}, but the session") as caught:
        open_on("coreml")
    assert str(caught.value).endswith(ending)


def test_another_provider_is_used_only_on_request(fake: Fake) -> None:
    module = fake([COREML, AZURE, CPU], [COREML, CPU])
    assert open_on("coreml").get_providers() == [COREML, CPU]
    open_on("auto")
    assert module.opened[-1][0] == [CPU]  # auto chooses between CUDA and the CPU only
    with pytest.raises(ProviderError, match=r"choose from auto, coreml, cpu$"):
        open_on("azure")  # it would call a server


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("cuda", "cuda", {}),
        ("CUDAExecutionProvider:device_id=1", "cuda", {"device_id": "1"}),
        (
            "directml:device_id=0, performance_preference=default",
            "dml",
            {"device_id": "0", "performance_preference": "default"},
        ),
        (
            'openvino:load_config={"CPU": {"A": 1, "B": 2}},device_type=CPU',
            "openvino",
            {"load_config": '{"CPU": {"A": 1, "B": 2}}', "device_type": "CPU"},
        ),
        ("x:path=C:\\a=b,c", "x", {"path": "C:\\a=b,c"}),
        ("x:empty=", "x", {"empty": ""}),
    ],
)
def test_options_follow_the_name(text: str, name: str, options: dict[str, str]) -> None:
    assert parse_provider(text) == (name, options)


MALFORMED = "has malformed options; give NAME or NAME:KEY=VALUE"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cuda:", MALFORMED),
        ("cuda:1", MALFORMED),
        ("cuda:=1", MALFORMED),
        ("cuda:a=1,a=2", MALFORMED),
        ("cuda:a-b=1", MALFORMED),
        ("cuda:,a=1", MALFORMED),
        ("cpu:threads=1", "the provider cpu has no options; leave out 'threads=1'"),
        ("auto:a=1", "the provider auto has no options; leave out 'a=1'"),
    ],
)
def test_malformed_options_are_rejected(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse_provider(text)


@pytest.mark.parametrize("name", ["cgan-run", "cgan-check"])
def test_malformed_options_are_wrong_usage(call: Command, name: str) -> None:
    done = call(name, "--provider", "cuda:1")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: --provider: the provider ")


def test_options_replace_the_defaults_of_the_table(fake: Fake) -> None:
    module = fake([CUDA, CPU], [CUDA, CPU])
    open_on("cuda:device_id=1")
    assert module.provider_options == [{"use_tf32": "0", "device_id": "1"}, {}]
    open_on("cuda:use_tf32=1")
    assert module.provider_options == [{"use_tf32": "1"}, {}]
    openvino = "OpenVINOExecutionProvider"
    module = fake([openvino, CPU], [openvino, CPU])
    open_on("openvino")
    assert module.provider_options == [{"precision": "FP32"}, {}]


def test_an_option_that_the_provider_refuses_is_named(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = fake([CUDA, CPU], [CUDA, CPU])
    opened = []

    def refuse_once(_model: bytes, _options: object, names: list[str]) -> None:
        opened.append(names)
        if opened.count([CUDA, CPU]) == 1:
            raise NativeError("Unknown provider option: wheels")

    monkeypatch.setattr(module, "open", refuse_once)
    with pytest.raises(
        ProviderError,
        match=f"^{CUDA} refuses the options 'wheels=4' .Unknown provider option: wheels.; correct",
    ):
        open_on("cuda:wheels=4")


def test_a_provider_that_runs_no_node_is_an_error(fake: Fake) -> None:
    module = fake([COREML, CPU], [COREML, CPU])
    module.nodes = {CPU: 15}
    with pytest.raises(
        ProviderError,
        match=rf"^{COREML} computes none of the 15 nodes of m\.onnx; use the provider cpu",
    ):
        open_on("coreml")
    module.nodes = {CPU: 14, COREML: 1}
    opened = open_session(b"model", "m.onnx", "coreml", 1)
    assert opened.node_counts == {"cpu": 14, "coreml": 1}


def test_nodes_are_counted_from_a_profile_before_onnxruntime_1_24(
    tiny_model: Path,
) -> None:
    """onnxruntime before 1.24 does not list them. The CPU provider stands in for another one."""

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
        get_provider_graph_assignment_info = property()

    options = onnxruntime.SessionOptions()
    options.enable_profiling = True

    def open_profiled(prefix: str) -> Session:
        options.profile_file_prefix = prefix
        return Session(tiny_model.read_bytes(), options, providers=[CPU])

    session = Session(tiny_model.read_bytes(), providers=[CPU])
    assert [*node_assignment.count_nodes(session, open_profiled)] == ["cpu"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openvino", "does not offer openvino; install onnxruntime-openvino, or choose from"),
        ("directml", "does not offer dml; install onnxruntime-directml, or choose from"),
        (
            "gpu",
            "provider 'gpu' is not available; .* for NVIDIA GPUs use cuda .package onnxruntime",
        ),
    ],
)
def test_what_to_install_is_named(tiny_model: Path, name: str, message: str) -> None:
    with pytest.raises(ProviderError, match=message):
        ImageGenerator(tiny_model, name)


@pytest.mark.parametrize(
    ("count", "max_batch", "batch"),
    [(1, 1024, 16), (15, 1024, 16), (16, 32, 16), (17, 16, 16), (1100, 1024, 16), (9, 8, 8)],
)
def test_a_static_batch_gives_the_same_images(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, count: int, max_batch: int, batch: int
) -> None:
    labels = [index % 10 for index in range(count)]
    with ImageGenerator(tiny_model, "cpu") as generator:
        expected = generator.generate(labels, seed=1)
    row = PROVIDERS["cpu"]._replace(needs_fixed_batch=True)
    monkeypatch.setattr(providers, "PROVIDERS", {**PROVIDERS, "cpu": row})
    valid = validate_model(tiny_model.read_bytes(), "m.onnx")._replace(max_batch=max_batch)
    monkeypatch.setattr("cgan_runtime.generator.validate_model", lambda *_: valid)
    with ImageGenerator(tiny_model, "cpu") as generator:
        images = generator.generate(labels, seed=1)
        assert generator._open_sessions().main.get_inputs()[0].shape[0] == batch
    assert np.abs(images.astype(int) - expected).max() <= 1


def test_the_documentation_has_the_rows_of_the_table() -> None:
    text = EDGE.read_text()
    for name, row in PROVIDERS.items():
        options = ",".join(f"{key}={value}" for key, value in row.options.items())
        cells = (
            f"`{name}`",
            row.devices,
            row.package,
            f"`{options}`" if options else "",
            "0" if name == "cpu" else str(row.int8_tolerance),
            str(row.float_tolerance),
            str(providers.FIXED_BATCH_SIZE) if row.needs_fixed_batch else "any",
            row.tested_on or "not run",
        )
        assert f"| {' | '.join(cells)} |" in text


@pytest.mark.skipif("OpenVINOExecutionProvider" not in ONNXRUNTIME_OFFERS, reason="another build")
def test_openvino_generates_the_golden_images() -> None:
    report = check_device(provider="openvino")
    assert report.passed
    assert report.node_counts["openvino"] > 0
