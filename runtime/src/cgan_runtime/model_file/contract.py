"""The model contract, version 1: the names of all tensors and metadata keys of a model file.

    input   noise   float32  [batch, noise_dim]            standard normal
    input   label   int64    [batch]                       class index, 0 <= label < classes
    output  image   uint8    [batch, 1, height, width]     0 background .. 255 foreground

`batch` is dynamic, 1 or more, and equal in all three. The metadata contains the fields of
ModelInfo. cgan-export writes files that follow this contract, ImageGenerator checks them, and
docs/contract.md specifies it.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from zlib import Z_BEST_COMPRESSION, compress, decompressobj
from zlib import error as zlib_error

from cgan_runtime.errors import ModelError

CONTRACT_VERSION = 1
NOISE, LABEL, IMAGE = "noise", "label", "image"
BATCH_AXIS = "batch"
MIN_ONNXRUNTIME = "1.20"
# OPSET is the minimum and the default. MIN_ONNXRUNTIME loads these opsets and this IR version.
OPSET, MAX_OPSET, IR_VERSION = 19, 21, 10
MAX_BATCH = 1024  # images of one session.run: limits memory, and larger batches are not faster
MAX_GOLDEN_BYTES = 2**26
# Random seed of golden samples, verification and evaluation: the year of the paper by Mirza and
# Osindero. A fixed seed lets anyone repeat them.
REFERENCE_SEED = 2014

PREFIX = "cgan."
CONTRACT_KEY = f"{PREFIX}contract"
CONTENT_KEY = f"{PREFIX}content_sha256"  # the last entry; checksum.py writes and verifies it
EXPORT_AGAIN = "export it again with cgan-export"
T = TypeVar("T")
_TEXT_FIELDS = ("dataset", "precision", "weights_sha256")
_OBJECT_FIELDS = ("recipe", "training", "versions", "quality", "verification")


class TensorSpec(NamedTuple):
    """Name, type and shape of an input or output, with the field names of onnxruntime.NodeArg."""

    name: str
    type: str  # onnxruntime's name, such as "tensor(float)"
    shape: Sequence[int | str | None]  # a dynamic axis is given by its name


@dataclass(frozen=True)
class Golden:
    """Golden sample: images that the model must generate, so that any device can be tested."""

    seed: int
    labels: tuple[int, ...]  # image i has label i and index i
    images: bytes  # uint8 [len(labels), 1, height, width], row by row


@dataclass(frozen=True)
class ModelInfo:
    """Metadata of a model file."""

    class_names: tuple[str, ...]  # by label
    noise_dim: int
    height: int  # of an image, in pixels
    width: int  # of an image, in pixels
    dataset: str  # name of the dataset that the model was trained on
    precision: str  # "fp32"; "fp16" (weights only); "int8" (weights and matrix multiplications)
    weights_sha256: str  # of the trained weights, before any conversion
    recipe: Mapping[str, Any]  # recipe of the training run
    training: Mapping[str, Any]  # facts of the training run, such as epochs and seconds
    versions: Mapping[str, str]  # of the packages that made the file
    quality: Mapping[str, float]  # measured metrics, by name
    verification: Mapping[str, Any]  # results of the checks during export
    golden: Golden

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

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
            **{f"{PREFIX}{key}": getattr(self, key) for key in _TEXT_FIELDS},
            **{
                f"{PREFIX}{key}": json.dumps(dict(getattr(self, key)), ensure_ascii=False)
                for key in _OBJECT_FIELDS
            },
        }


def tensor_specs(
    noise_dim: int, height: int, width: int
) -> tuple[tuple[TensorSpec, TensorSpec], tuple[TensorSpec]]:
    """Return the inputs and outputs of a model with these sizes."""
    inputs = (
        TensorSpec(NOISE, "tensor(float)", (BATCH_AXIS, noise_dim)),
        TensorSpec(LABEL, "tensor(int64)", (BATCH_AXIS,)),
    )
    return inputs, (TensorSpec(IMAGE, "tensor(uint8)", (BATCH_AXIS, 1, height, width)),)


def read_info(
    metadata: Mapping[str, str],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    source: str,
) -> ModelInfo:
    """Return a model's metadata; raise ModelError if they or a tensor break the contract."""
    check_version(metadata, source)
    info = _read_metadata(metadata, outputs, source)
    expected_inputs, expected_outputs = tensor_specs(info.noise_dim, info.height, info.width)
    specs = {"input": (inputs, expected_inputs), "output": (outputs, expected_outputs)}
    for kind, (actual, expected) in specs.items():
        if _describe(actual) != _describe(expected):
            raise ModelError(
                f"{source} breaks the model contract: its {kind} is {_describe(actual)}, expected "
                f"{_describe(expected)}; {EXPORT_AGAIN}"
            )
    return info


def check_version(metadata: Mapping[str, str], source: str) -> None:
    """Raise ModelError unless a model's metadata_props state the version CONTRACT_VERSION."""
    version = metadata.get(CONTRACT_KEY)
    if version is None:
        raise ModelError(
            f"{source} is an ONNX model, but not one that cgan-export wrote (its metadata lacks "
            f"{CONTRACT_KEY}); export one with cgan-export"
        )
    if not re.fullmatch("0|[1-9][0-9]{0,8}", version):
        raise ModelError(
            f"{source} has a malformed contract version {version!r:.40}; {EXPORT_AGAIN}"
        )
    if int(version) != CONTRACT_VERSION:
        newer = int(version) > CONTRACT_VERSION
        raise ModelError(
            f"{source} follows model contract {version}, but this cgan-runtime reads contract "
            f"{CONTRACT_VERSION}; {'upgrade cgan-runtime' if newer else EXPORT_AGAIN}"
        )


def _read_metadata(
    metadata: Mapping[str, str], outputs: Sequence[TensorSpec], source: str
) -> ModelInfo:
    try:
        height, width = _image_size(outputs)
        class_names = _list_of(str, _parse_json(metadata[f"{PREFIX}class_names"]))
        golden = _parse_object(metadata[f"{PREFIX}golden"])
        labels = _list_of(int, golden["labels"])
        fields: dict[str, Any] = {key: metadata[f"{PREFIX}{key}"] for key in _TEXT_FIELDS}
        fields |= {key: _parse_object(metadata[f"{PREFIX}{key}"]) for key in _OBJECT_FIELDS}
        return ModelInfo(
            class_names=class_names,
            noise_dim=_in_range(_parse_json(metadata[f"{PREFIX}noise_dim"]), 2**31, minimum=1),
            height=height,
            width=width,
            golden=Golden(
                seed=_in_range(golden["seed"], 2**64),
                labels=tuple(_in_range(label, len(class_names)) for label in labels),
                images=_decompress(golden["images"], len(labels) * height * width),
            ),
            **fields,
        )
    except (KeyError, TypeError, ValueError, zlib_error) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(
            f"{source} has malformed contract metadata ({reason:.120}); {EXPORT_AGAIN}"
        ) from error


def _parse_json(text: str) -> object:
    """Return the value of a JSON text that holds no NaN, no lone surrogate and no deep nesting."""

    def reject(name: str) -> object:
        raise ValueError(f"JSON does not allow {name}")

    try:
        value: object = json.loads(text, parse_constant=reject)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if "\\u" in text:  # an escape can stand for a lone surrogate, which encode() rejects
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _parse_object(text: str) -> dict[str, Any]:
    value = _parse_json(text)
    if not isinstance(value, dict):
        raise TypeError(f"{text!r:.40} is not a JSON object")
    return value


def _list_of(kind: type[T], values: object) -> tuple[T, ...]:
    if not isinstance(values, list) or {type(value) for value in values} != {kind}:
        raise TypeError(f"{values!r:.40} is not a non-empty list of {kind.__name__}")
    return tuple(values)


def _in_range(value: object, end: int, *, minimum: int = 0) -> int:
    if type(value) is not int or not minimum <= value < end:
        raise ValueError(f"{value!r:.40} is not a whole number from {minimum} to {end - 1}")
    return value


def _decompress(text: object, size: int) -> bytes:
    """Return the pixels of a golden sample of a given size in bytes; never decompress more."""
    if not isinstance(text, str) or size > MAX_GOLDEN_BYTES:
        raise ValueError(f"the golden sample is not text, or exceeds {MAX_GOLDEN_BYTES:,} bytes")
    packed = decompressobj()
    content = packed.decompress(b64decode(text, validate=True), size + 1)
    if len(content) != size or not packed.eof:
        raise ValueError("the golden sample has the wrong size")
    return content


def _image_size(outputs: Sequence[TensorSpec]) -> tuple[int, int]:
    for output in outputs:
        if output.name == IMAGE and len(output.shape) == 4:
            height, width = output.shape[2:]
            if isinstance(height, int) and isinstance(width, int):
                return height, width
    raise ValueError(f"the model has no output {IMAGE!r} with a fixed height and width")


def _describe(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(
        f"{spec.name} {spec.type} [{', '.join(map(str, spec.shape))}]" for spec in specs
    )
