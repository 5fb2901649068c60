"""The model contract, version 1: the names of all tensors and metadata keys of a model file.

    input   noise   float32  [batch, noise_dim]            standard normal
    input   label   int64    [batch]                       class index, 0 <= label < classes
    output  image   uint8    [batch, channels, height, width]    0..255; channels: 1 gray, 3 RGB

`batch` is dynamic, 1 or more, and equal in all three. The metadata contains the fields of
ModelInfo. cgan-export writes files that follow this contract, ImageGenerator checks them, and
docs/contract.md specifies it. web/src/model/contract.js is a port of read_info(); change both.
"""

import json
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, NamedTuple, NoReturn, TypeAlias, TypeVar
from zlib import Z_BEST_COMPRESSION, compress, decompressobj
from zlib import error as zlib_error

from cgan_runtime.errors import ModelError, printable, raised_by_user_code
from cgan_runtime.model_file.messages import error_message, quoted

CONTRACT_VERSION = 1
CHANNELS = (1, 3)  # number of channels of a gray and of an RGB image
ImageShape: TypeAlias = tuple[int, int, int]  # channels, height, width
NOISE, LABEL, IMAGE = "noise", "label", "image"
BATCH_AXIS = "batch"
MIN_ONNXRUNTIME = "1.20"
# OPSET is the minimum and the default. MIN_ONNXRUNTIME loads these opsets and this IR version.
OPSET, MAX_OPSET, IR_VERSION = 19, 21, 10
MAX_BATCH = 1024  # images of one session.run; larger ones need more memory and are not faster
MAX_GOLDEN_BYTES = 2**26  # largest size of the golden images
MAX_CLASSES = 10_000  # largest number of classes of a trained or exported model
# Random seed of golden samples, verification and evaluation: the year of the paper by Mirza and
# Osindero. A fixed seed lets anyone repeat them.
REFERENCE_SEED = 2014

PREFIX = "cgan."
CONTRACT_KEY = f"{PREFIX}contract"
CONTENT_KEY = f"{PREFIX}content_sha256"  # the last entry; checksum.py writes and verifies it
BIT_EXACT_KEY = f"{PREFIX}bit_exact"  # optional: without it, int8 files are bit-exact
MAX_JSON_LEVELS = 64  # largest nesting depth of a metadata entry
MAX_DESCRIPTION = 200  # largest number of characters of a tensor list in a message
T = TypeVar("T")
_STRING_FIELDS = ("dataset", "precision", "weights_sha256")
OBJECT_FIELDS = ("recipe", "training", "versions", "quality", "verification")
FIELDS = ("class_names", "noise_dim", "golden", *_STRING_FIELDS, *OBJECT_FIELDS)
_JSON_KINDS = {
    str: "a string",
    list: "a list",
    dict: "an object",
    float: "a number with a fraction",
    bool: "a boolean",
    NoneType: "null",
}
_BASE64 = re.compile("[A-Za-z0-9+/]*={0,2}")


class TensorSpec(NamedTuple):
    """Name, type and shape of an input or output, with the field names of onnxruntime.NodeArg."""

    name: str
    type: str  # onnxruntime's name, such as "tensor(float)"
    shape: Sequence[int | str | None]  # the name of a dynamic axis, such as "batch"


@dataclass(frozen=True)
class Golden:
    """Golden sample: images that the model must generate, so that any device can be tested."""

    seed: int
    labels: tuple[int, ...]  # image i has label i and index i
    images: bytes  # uint8 [len(labels), channels, height, width], row by row


@dataclass(frozen=True)
class ModelInfo:
    """Metadata of a model file."""

    class_names: tuple[str, ...]  # name i belongs to label i
    noise_dim: int  # values per image
    image_shape: ImageShape
    dataset: str  # name of the dataset that the model was trained on
    precision: str  # "fp32"; "fp16" (weights only); "int8" (weights and matrix multiplications)
    weights_sha256: str  # hash of the trained weights, before any conversion
    recipe: Mapping[str, Any]  # recipe of the training run
    training: Mapping[str, Any]  # facts of the training run, such as epochs and seconds
    versions: Mapping[str, str]  # version of each package that made the file
    quality: Mapping[str, float]  # value of each metric
    verification: Mapping[str, Any]  # results of the checks during export
    golden: Golden
    bit_exact: bool  # whether every processor generates the same bytes

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """Number of channels, 1 for gray or 3 for RGB."""
        return self.image_shape[0]

    @property
    def height(self) -> int:
        """Image height in pixels."""
        return self.image_shape[1]

    @property
    def width(self) -> int:
        """Image width in pixels."""
        return self.image_shape[2]

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata_props of the ONNX file."""
        golden = {
            "seed": self.golden.seed,
            "labels": self.golden.labels,
            "images": b64encode(compress(self.golden.images, Z_BEST_COMPRESSION)).decode(),
        }
        return {
            CONTRACT_KEY: str(CONTRACT_VERSION),
            f"{PREFIX}class_names": json.dumps(self.class_names, ensure_ascii=False),
            f"{PREFIX}noise_dim": str(self.noise_dim),
            f"{PREFIX}golden": json.dumps(golden),
            BIT_EXACT_KEY: json.dumps(self.bit_exact),
            **{f"{PREFIX}{key}": getattr(self, key) for key in _STRING_FIELDS},
            **{
                f"{PREFIX}{key}": json.dumps(dict(getattr(self, key)), ensure_ascii=False)
                for key in OBJECT_FIELDS
            },
        }


def tensor_specs(
    noise_dim: int, image_shape: ImageShape
) -> tuple[tuple[TensorSpec, TensorSpec], tuple[TensorSpec]]:
    """Return the inputs and outputs of a model with these sizes."""
    inputs = (
        TensorSpec(NOISE, "tensor(float)", (BATCH_AXIS, noise_dim)),
        TensorSpec(LABEL, "tensor(int64)", (BATCH_AXIS,)),
    )
    return inputs, (TensorSpec(IMAGE, "tensor(uint8)", (BATCH_AXIS, *image_shape)),)


def read_info(
    metadata: Mapping[str, str],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    source: str,
) -> ModelInfo:
    """Return a model's metadata; raise ModelError if it or a tensor breaks the contract."""
    check_version(metadata, source)
    info = _read_metadata(metadata, outputs, source)
    expected_inputs, expected_outputs = tensor_specs(info.noise_dim, info.image_shape)
    specs = {"input": (inputs, expected_inputs), "output": (outputs, expected_outputs)}
    for kind, (actual, expected) in specs.items():
        if _describe(actual) != _describe(expected):
            shown = {"actual": _describe(actual), "expected": _describe(expected)}
            raise ModelError(error_message("other tensors", source=source, kind=kind, **shown))
    return info


def check_version(metadata: Mapping[str, str], source: str) -> None:
    """Raise ModelError unless a model's metadata_props state CONTRACT_VERSION."""
    version = metadata.get(CONTRACT_KEY)
    if version is None:
        raise ModelError(error_message("no contract", source=source, key=CONTRACT_KEY))
    if not re.fullmatch("0|[1-9][0-9]{0,8}", version):
        shown = quoted(version)
        raise ModelError(error_message("malformed version", source=source, version=shown))
    if int(version) != CONTRACT_VERSION:
        name = "newer contract" if int(version) > CONTRACT_VERSION else "older contract"
        values = {"version": version, "supported": CONTRACT_VERSION}
        raise ModelError(error_message(name, source=source, **values))


class _MetadataError(Exception):
    """The metadata breaks the contract; str(error) says how."""


def _reject(name: str, /, **values: object) -> NoReturn:
    raise _MetadataError(error_message(name, **values))


def _read_metadata(
    metadata: Mapping[str, str], outputs: Sequence[TensorSpec], source: str
) -> ModelInfo:
    try:
        image_shape = _image_shape(outputs)
        for name in FIELDS:
            if f"{PREFIX}{name}" not in metadata:
                _reject("missing key", key=f"{PREFIX}{name}")
        strings: dict[str, Any] = {key: metadata[f"{PREFIX}{key}"] for key in _STRING_FIELDS}
        objects: dict[str, Any] = {key: _parse_object(metadata, key) for key in OBJECT_FIELDS}
        class_names = _read_list(_parse_json(metadata, "class_names"), "class_names", str)
        return ModelInfo(
            class_names=class_names,
            noise_dim=_in_range(_parse_json(metadata, "noise_dim"), "noise_dim", 2**31, minimum=1),
            image_shape=image_shape,
            golden=_read_golden(metadata, len(class_names), math.prod(image_shape)),
            bit_exact=_read_bit_exact(metadata, strings["precision"]),
            **strings,
            **objects,
        )
    except _MetadataError as error:
        raise ModelError(
            error_message("malformed metadata", source=source, reason=error)
        ) from error


def _read_bit_exact(metadata: Mapping[str, str], precision: str) -> bool:
    if BIT_EXACT_KEY not in metadata:
        return precision == "int8"
    value = _parse_json(metadata, "bit_exact")
    if not isinstance(value, bool):
        _reject("not a boolean", key=BIT_EXACT_KEY)
    return value


def _read_golden(metadata: Mapping[str, str], classes: int, size: int) -> Golden:
    """Return the golden sample; `size` is the number of bytes of one image."""
    values = _parse_object(metadata, "golden")
    for part in ("seed", "labels", "images"):
        if part not in values:
            _reject("missing key", key=f"{PREFIX}golden.{part}")
    seed = _in_range(values["seed"], "golden.seed", 2**64)
    labels = _read_list(values["labels"], "golden.labels", int)
    for label in labels:
        _in_range(label, "golden.labels", classes)
    return Golden(seed, labels, _decompress(values["images"], len(labels) * size))


def _parse_json(metadata: Mapping[str, str], name: str) -> object:
    """Parse a metadata entry; reject NaN, lone surrogates and deep nesting."""
    text = metadata[f"{PREFIX}{name}"]
    try:
        value: object = json.loads(text, parse_constant=int)  # int("NaN") raises ValueError
        if "\\u" in text:  # an escape can stand for a lone surrogate, which encode() rejects
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        if raised_by_user_code(error):
            raise
        _reject("not JSON", key=f"{PREFIX}{name}")
    values = [value]  # at the current nesting depth
    for _ in range(MAX_JSON_LEVELS):
        values = [child for parent in values for child in _children(parent)]
    if values:
        _reject("not JSON", key=f"{PREFIX}{name}")
    return value


def _children(value: object) -> Collection[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _parse_object(metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    value = _parse_json(metadata, name)
    if not isinstance(value, dict):
        _reject("not an object", key=f"{PREFIX}{name}")
    return value


def _read_list(values: object, name: str, kind: type[T]) -> tuple[T, ...]:
    if not isinstance(values, list) or {type(value) for value in values} != {kind}:
        kinds = "strings" if kind is str else "whole numbers"
        _reject("not a list", key=f"{PREFIX}{name}", kind=kinds)
    return tuple(values)


def _in_range(value: object, name: str, end: int, *, minimum: int = 0) -> int:
    if type(value) is not int or not minimum <= value < end:
        shown = f"{value!s:.40}" if type(value) is int else _JSON_KINDS[type(value)]
        limits = {"minimum": minimum, "maximum": end - 1}
        _reject("out of range", key=f"{PREFIX}{name}", value=shown, **limits)
    return value


def _decompress(text: object, size: int) -> bytes:
    """Return the golden images, which must have `size` bytes; never decompress more."""
    limit = f"{MAX_GOLDEN_BYTES:,}"
    if not isinstance(text, str) or size > MAX_GOLDEN_BYTES:
        _reject("golden images", limit=limit)
    if not _BASE64.fullmatch(text) or len(text) % 4 != 0:
        _reject("golden images", limit=limit)
    decompressor = decompressobj()
    try:
        content = decompressor.decompress(b64decode(text), size + 1)
    except zlib_error:
        _reject("golden size")
    if len(content) != size or not decompressor.eof or decompressor.unused_data:
        _reject("golden size")
    return content


def _image_shape(outputs: Sequence[TensorSpec]) -> ImageShape:
    for output in outputs:
        if output.name == IMAGE and len(output.shape) == 4:
            channels, height, width = output.shape[1:]
            if channels in CHANNELS and isinstance(height, int) and isinstance(width, int):
                return int(channels), height, width
    _reject("no image", name=IMAGE)


def _describe(specs: Sequence[TensorSpec]) -> str:
    parts = (f"{spec.name} {spec.type} [{', '.join(map(str, spec.shape))}]" for spec in specs)
    return printable(", ".join(parts)[:MAX_DESCRIPTION])
