"""The metadata and the tensors of a model file."""

import ast
import dataclasses
import json
import re
import tracemalloc
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from zlib import compress

import pytest

from cgan_runtime.errors import ModelError
from cgan_runtime.model_file import contract
from cgan_runtime.model_file.contract import (
    BATCH_AXIS,
    CONTENT_KEY,
    CONTRACT_KEY,
    CONTRACT_VERSION,
    IMAGE,
    IR_VERSION,
    LABEL,
    MAX_BATCH,
    MAX_OPSET,
    NOISE,
    OPSET,
    PREFIX,
    REFERENCE_SEED,
    Golden,
    ModelInfo,
    TensorSpec,
    read_info,
    tensor_specs,
)

ROOT = Path(__file__).parents[2]
SOURCE = "some/model.onnx"
TEXTS = ("class_names", "noise_dim", "golden", "dataset", "precision", "weights_sha256")
TABLES = ("recipe", "training", "versions", "quality", "verification")
KEYS = [f"{PREFIX}{key}" for key in (*TEXTS, *TABLES)]
EXPORT_AGAIN = "; export it again with cgan-export"


def read_metadata(info: ModelInfo, **changes: str) -> ModelInfo:
    """Read the metadata of a model after changes to some entries."""
    metadata = info.to_metadata() | {f"{PREFIX}{key}": value for key, value in changes.items()}
    specs = tensor_specs(info.noise_dim, info.image_shape)
    return read_info(metadata, *specs, SOURCE)


def error_of(
    info: ModelInfo,
    metadata: dict[str, str] | None = None,
    inputs: tuple[TensorSpec, ...] | None = None,
    outputs: tuple[TensorSpec, ...] | None = None,
    **changes: str,
) -> str:
    """Return the error message for a model that differs in some of these."""
    specs = tensor_specs(info.noise_dim, info.image_shape)
    metadata = info.to_metadata() if metadata is None else metadata
    with pytest.raises(ModelError) as caught:
        read_info(
            metadata | {f"{PREFIX}{key}": value for key, value in changes.items()},
            specs[0] if inputs is None else inputs,
            specs[1] if outputs is None else outputs,
            SOURCE,
        )
    message = str(caught.value)
    assert message.startswith(SOURCE)
    assert "\n" not in message
    assert len(message) < 300
    return message


def golden_with(info: ModelInfo, **changes: object) -> str:
    """Return the metadata entry of the golden sample with some parts changed."""
    return json.dumps(json.loads(info.to_metadata()[f"{PREFIX}golden"]) | changes)


def test_metadata_round_trip(info: ModelInfo) -> None:
    metadata = info.to_metadata()
    assert metadata[CONTRACT_KEY] == str(CONTRACT_VERSION) == "1"
    assert set(metadata) == {CONTRACT_KEY, f"{PREFIX}bit_exact", *KEYS}
    assert all(isinstance(value, str) for value in metadata.values())
    assert read_metadata(info) == info
    assert read_metadata(info).classes == 10


def test_text_beyond_ascii_is_kept(info: ModelInfo) -> None:
    changed = dataclasses.replace(
        info,
        class_names=("零", "één", 'a "b"\n', *"3456"),
        dataset="große Ziffern",
        recipe={"name": "é"},
    )
    assert read_metadata(changed) == changed
    metadata = changed.to_metadata()
    assert "één" in metadata[f"{PREFIX}class_names"]
    assert metadata[f"{PREFIX}recipe"] == '{"name": "é"}'


def test_unknown_keys_are_ignored(info: ModelInfo) -> None:
    metadata = info.to_metadata() | {f"{PREFIX}later": "?", "onnx.infer": "onnxruntime.quant"}
    assert read_info(metadata, *tensor_specs(6, (1, 12, 9)), SOURCE) == info


def test_tensors_and_constants_never_change() -> None:
    inputs, outputs = tensor_specs(6, (1, 12, 9))
    assert inputs == (
        ("noise", "tensor(float)", ("batch", 6)),
        ("label", "tensor(int64)", ("batch",)),
    )
    assert outputs == (("image", "tensor(uint8)", ("batch", 1, 12, 9)),)
    assert MAX_BATCH == 1024
    assert REFERENCE_SEED == 2014  # published golden samples and metrics depend on it


def test_document_lists_the_keys_and_tensors(info: ModelInfo) -> None:
    document = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    rows = re.findall(rf"^\| `({re.escape(PREFIX)}\w+)` \|", document, re.MULTILINE)
    assert sorted(rows) == sorted([*info.to_metadata(), CONTENT_KEY])
    for each in (*tensor_specs(1, (1, 1, 1))[0], *tensor_specs(1, (1, 1, 1))[1]):
        assert f"| `{each.name}` |" in document
    text = " ".join(document.split())
    assert f"opset {OPSET} and IR version {IR_VERSION}" in text
    assert f"opset {MAX_OPSET}" in text


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (None, "not one that cgan-export wrote .*; export one with cgan-export$"),
        ("0", "follows model contract 0, but only contract 1 is supported; export it again"),
        ("2", "follows model contract 2, but only contract 1 is supported; upgrade cgan-"),
        ("12", "follows model contract 12, .*; upgrade cgan-runtime$"),
        ("9" * 9, "follows model contract 999999999, .*; upgrade cgan-runtime$"),
        *[
            (each, "has a malformed contract version '.*; export it again with cgan-export$")
            for each in ("", "00", "-1", "one", "1.0", "²", "9" * 5000)
        ],
    ],
)
def test_contract_of_another_version_is_rejected(
    info: ModelInfo, version: str | None, reason: str
) -> None:
    metadata = info.to_metadata() | {CONTRACT_KEY: version or ""}
    if version is None:
        del metadata[CONTRACT_KEY]
    assert re.search(reason, error_of(info, metadata))
    assert re.search(
        reason, error_of(info, {CONTRACT_KEY: version} if version else metadata, (), ())
    )


@pytest.mark.parametrize("noise_dim", [1, 2**31 - 1])
def test_noise_dim_at_its_limits_is_accepted(info: ModelInfo, noise_dim: int) -> None:
    assert read_metadata(dataclasses.replace(info, noise_dim=noise_dim)).noise_dim == noise_dim


@pytest.mark.parametrize("noise_dim", [0, -1, 2**31, 2**31 + 1])
def test_noise_dim_out_of_range_is_rejected(info: ModelInfo, noise_dim: int) -> None:
    reason = f"{noise_dim} is not a whole number from 1 to {2**31 - 1}"
    assert reason in error_of(info, noise_dim=str(noise_dim))


@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_golden_seed_at_its_limits_is_accepted(info: ModelInfo, seed: int) -> None:
    assert read_metadata(info, golden=golden_with(info, seed=seed)).golden.seed == seed


@pytest.mark.parametrize("seed", [-1, 2**64, 2**64 + 1])
def test_golden_seed_out_of_range_is_rejected(info: ModelInfo, seed: int) -> None:
    reason = f"{seed} is not a whole number from 0 to {2**64 - 1}"
    assert reason in error_of(info, golden=golden_with(info, seed=seed))


@pytest.mark.parametrize("images", [None, 7, ["AAAA"]])
def test_golden_images_that_are_not_text_are_rejected(info: ModelInfo, images: object) -> None:
    message = error_of(info, golden=golden_with(info, images=images))
    assert "the golden sample is not base64 text" in message


def test_golden_images_that_are_not_base64_are_rejected(info: ModelInfo) -> None:
    images = json.loads(info.to_metadata()[f"{PREFIX}golden"])["images"]
    for damaged in (images + "!", f" {images}", images[:-1]):
        assert "is not base64 text" in error_of(info, golden=golden_with(info, images=damaged))


def test_golden_sample_of_at_most_the_maximum_size_is_accepted(
    info: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(info.golden.images)
    monkeypatch.setattr(contract, "MAX_GOLDEN_BYTES", size)
    assert read_metadata(info) == info
    monkeypatch.setattr(contract, "MAX_GOLDEN_BYTES", size - 1)
    assert f"exceeds {size - 1:,} bytes" in error_of(info)


@pytest.mark.parametrize("size", [0, 1, 4 * 12 * 9 - 1, 4 * 12 * 9 + 1, 4 * 28 * 28])
def test_golden_sample_of_wrong_size_is_rejected(info: ModelInfo, size: int) -> None:
    golden = Golden(info.golden.seed, info.golden.labels, bytes(size))
    message = error_of(info, dataclasses.replace(info, golden=golden).to_metadata())
    assert "golden sample is damaged or has the wrong size" in message
    assert message.endswith(EXPORT_AGAIN)


def test_truncated_golden_sample_is_rejected(info: ModelInfo) -> None:
    images = b64encode(compress(info.golden.images)[:-9]).decode()
    message = error_of(info, golden=golden_with(info, images=images))
    assert "malformed contract metadata" in message


def test_decompression_bomb_is_not_decompressed(info: ModelInfo) -> None:
    """128 MiB of zeros compress to about 0.1 %."""
    images = b64encode(compress(bytes(2**27), 1)).decode()
    tracemalloc.start()
    message = error_of(info, golden=golden_with(info, labels=[0], images=images))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "golden sample is damaged or has the wrong size" in message
    assert peak < 10e6


def test_lone_surrogate_is_rejected(info: ModelInfo) -> None:
    assert "has a lone surrogate" in error_of(info, recipe='{"name": "\\ud800"}')
    assert read_metadata(info, recipe='{"name": "\\ud83d\\ude00"}').recipe == {"name": "\U0001f600"}


@pytest.mark.parametrize("key", KEYS)
def test_missing_key_is_named(info: ModelInfo, key: str) -> None:
    metadata = info.to_metadata()
    del metadata[key]
    message = error_of(info, metadata)
    assert key in message
    assert message.endswith(EXPORT_AGAIN)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("class_names", ["zero, one", "10", "[]", '"0123456789"', '["\\ud800"]', "[" * 100_000]),
        ("noise_dim", ["six", "6.0", "0", "-6", "\N{FULLWIDTH DIGIT NINE}", "6_4", "9" * 5000]),
        ("golden", ["", "null", "{}"]),
        ("golden", ['{"seed": null, "labels": [0], "images": ""}']),
        ("golden", ['{"seed": 0, "labels": 5, "images": ""}']),
        ("golden", ['{"seed": 0, "labels": [0], "images": 5}']),
        ("golden", ['{"seed": 0, "labels": [0], "images": "é"}']),
        ("golden", ['{"seed": 0, "labels": [0], "images": "AAAA"}']),
        ("golden", ['{"seed": 1.5, "labels": [0], "images": ""}']),
        ("golden", ['{"seed": Infinity, "labels": [0], "images": ""}']),
        ("golden", ['{"seed": -1, "labels": [0], "images": ""}']),
        ("golden", ['{"seed": 18446744073709551616, "labels": [0], "images": ""}']),
        ("golden", ['{"seed": 0, "labels": [10], "images": ""}']),
        ("golden", ['{"seed": 0, "labels": [true], "images": ""}']),
        ("golden", ['{"seed": 0, "labels": [], "images": ""}']),
        ("golden", [f'{{"seed": 0, "labels": [{"0, " * 10**6}0], "images": ""}}']),
        ("quality", ['{"label_accuracy": NaN}', '[["label_accuracy", 1]]', "fine"]),
        ("training", ['{"a":' * 100_000, "3"]),
        ("recipe", ["{", "[1]"]),
        ("versions", ["null"]),
    ],
)
def test_malformed_metadata_is_rejected(info: ModelInfo, key: str, values: list[str]) -> None:
    for value in values:
        metadata = info.to_metadata() | {f"{PREFIX}{key}": value}
        assert error_of(info, metadata).endswith(EXPORT_AGAIN)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("input", lambda each: each._replace(name="z")),
        ("input", lambda each: each._replace(type="tensor(double)")),
        ("input", lambda each: each._replace(shape=(BATCH_AXIS, 7))),
        ("input", lambda each: each._replace(shape=(BATCH_AXIS,))),
        ("input", lambda each: each._replace(shape=(1, 6))),
        ("input", lambda each: each._replace(shape=(None, 6))),
        ("input", lambda each: each._replace(shape=("n", 6))),
        ("output", lambda each: each._replace(type="tensor(float)")),
        ("output", lambda each: each._replace(shape=(None, 1, 12, 9))),
        ("output", lambda each: each._replace(shape=(1, 1, 12, 9))),
    ],
)
def test_tensor_that_differs_is_rejected(
    info: ModelInfo, kind: str, change: Callable[[TensorSpec], TensorSpec]
) -> None:
    (noise, label), (image,) = tensor_specs(info.noise_dim, info.image_shape)
    if kind == "input":
        noise = changed = change(noise)
    else:
        image = changed = change(image)
    message = error_of(info, inputs=(noise, label), outputs=(image,))
    shape = ", ".join(map(str, changed.shape))
    assert f"its {kind} is {changed.name} {changed.type} [{shape}]" in message
    assert "expected " in message
    assert message.endswith(EXPORT_AGAIN)


@pytest.mark.parametrize(
    "change",
    [
        lambda each: each._replace(name="picture"),
        lambda each: each._replace(shape=(BATCH_AXIS, 12, 9)),
        lambda each: each._replace(shape=(BATCH_AXIS, 1, "height", 9)),
        lambda each: each._replace(shape=(BATCH_AXIS, 2, 12, 9)),
        lambda each: each._replace(shape=(BATCH_AXIS, 1, 12, None)),
    ],
)
def test_output_without_a_fixed_size_is_rejected(
    info: ModelInfo, change: Callable[[TensorSpec], TensorSpec]
) -> None:
    _, (image,) = tensor_specs(info.noise_dim, info.image_shape)
    message = error_of(info, outputs=(change(image),))
    assert f"no output {IMAGE!r} with 1 or 3 channels and a fixed height and width" in message
    assert message.endswith(EXPORT_AGAIN)


def test_missing_extra_or_reordered_tensors_are_rejected(info: ModelInfo) -> None:
    (noise, label), (image,) = tensor_specs(info.noise_dim, info.image_shape)
    extra = TensorSpec("more", "tensor(float)", ())
    for inputs in ((noise,), (label, noise), (noise, label, extra)):
        assert "its input is" in error_of(info, inputs=inputs)
    assert "its output is" in error_of(info, outputs=(image, image._replace(name="more")))


def test_only_contract_py_spells_tensor_names_and_metadata_keys() -> None:
    sources = [
        path
        for package in ("runtime", "export")
        for path in (ROOT / package / "src").rglob("*.py")
        if path.name != "contract.py"
    ]
    assert len(sources) > 40
    found = [
        f"{path.name}:{node.lineno}: {node.value}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and (node.value in (NOISE, LABEL, IMAGE) or node.value.startswith(PREFIX))
    ]
    assert not found


@pytest.mark.parametrize(("precision", "expected"), [("int8", True), ("fp32", False)])
def test_files_without_the_key_are_bit_exact_if_they_are_int8(
    info: ModelInfo, precision: str, expected: bool
) -> None:
    metadata = info.to_metadata() | {f"{PREFIX}precision": precision}
    del metadata[f"{PREFIX}bit_exact"]
    specs = tensor_specs(info.noise_dim, info.image_shape)
    assert read_info(metadata, *specs, SOURCE).bit_exact is expected


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("false", False)])
def test_the_key_decides_whether_a_file_is_bit_exact(
    info: ModelInfo, text: str, expected: bool
) -> None:
    assert read_metadata(info, bit_exact=text).bit_exact is expected
    message = error_of(info, bit_exact="1")
    assert f"{PREFIX}bit_exact is neither true nor false" in message


def test_a_color_model_has_three_channels(info: ModelInfo) -> None:
    golden = dataclasses.replace(info.golden, images=info.golden.images * 3)
    color = dataclasses.replace(info, image_shape=(3, info.height, info.width), golden=golden)
    assert read_metadata(color) == color
    assert (color.channels, color.height, color.width) == (3, info.height, info.width)
