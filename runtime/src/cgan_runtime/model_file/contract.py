"""The model contract, version 1: the one place that spells a tensor's or a metadata key's name.

    input   noise   float32  [batch, noise_dim]            standard normal
    input   label   int64    [batch]                       class index, 0 <= label < classes
    output  image   uint8    [batch, 1, height, width]     0 background .. 255 ink

`batch` is dynamic, 1 upwards, and the same in all three. The metadata say the rest: what
ModelInfo holds. cgan-export writes it, ImageGenerator checks it. docs/contract.md explains it.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from zlib import compress, decompressobj
from zlib import error as zlib_error

from cgan_runtime.errors import ModelError

CONTRACT_VERSION = 1
NOISE, LABEL, IMAGE = "noise", "label", "image"
BATCH = "batch"
OLDEST_ONNXRUNTIME = "1.20"
OPSET, NEWEST_OPSET, IR_VERSION = 19, 21, 10  # the oldest onnxruntime loads them
MOST_GOLDEN = 2**26  # bytes of the golden sample

PREFIX = "cgan."
CONTRACT_KEY = f"{PREFIX}contract"
CONTENT_KEY = f"{PREFIX}content_sha256"  # the last of the file; seal.py writes and checks it
T = TypeVar("T")
_TEXTS = ("dataset", "precision", "weights_sha256")
_TABLES = ("recipe", "training", "versions", "quality", "verification")


class Tensor(NamedTuple):
    """One input or output, as onnxruntime describes it."""

    name: str
    type: str  # such as "tensor(float)"
    shape: Sequence[int | str | None]  # a dynamic axis is its name


@dataclass(frozen=True)
class Golden:
    """Images that the model must draw, so that any device can prove its own numerics."""

    seed: int
    labels: tuple[int, ...]  # image i has label i and index i
    images: bytes  # uint8 [len(labels), 1, height, width], row by row


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself."""

    class_names: tuple[str, ...]  # one a label
    noise_dim: int
    height: int  # of an image, in pixels
    width: int  # of an image, in pixels
    dataset: str  # name of the data set it learnt
    precision: str  # "fp32"; "fp16", of the weights alone; "int8", of weights and products
    weights_sha256: str  # of the trained weights, before any conversion
    recipe: Mapping[str, Any]  # that it was trained by
    training: Mapping[str, Any]  # epochs, steps, seconds, device
    versions: Mapping[str, str]  # of the packages that made it
    quality: Mapping[str, float]  # the figures that were measured
    verification: Mapping[str, Any]  # what export proved
    golden: Golden

    @property
    def classes(self) -> int:
        """Number of labels."""
        return len(self.class_names)

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata_props of the ONNX file."""
        golden = {
            "seed": self.golden.seed,
            "labels": list(self.golden.labels),
            "images": b64encode(compress(self.golden.images, 9)).decode(),
        }
        return {
            CONTRACT_KEY: str(CONTRACT_VERSION),
            f"{PREFIX}class_names": json.dumps(list(self.class_names), ensure_ascii=False),
            f"{PREFIX}noise_dim": str(self.noise_dim),
            f"{PREFIX}golden": json.dumps(golden),
            **{f"{PREFIX}{key}": getattr(self, key) for key in _TEXTS},
            **{
                f"{PREFIX}{key}": json.dumps(dict(getattr(self, key)), ensure_ascii=False)
                for key in _TABLES
            },
        }


def tensors(noise_dim: int, height: int, width: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor]]:
    """Return the inputs and outputs that a model of these sizes has."""
    inputs = (
        Tensor(NOISE, "tensor(float)", (BATCH, noise_dim)),
        Tensor(LABEL, "tensor(int64)", (BATCH,)),
    )
    return inputs, (Tensor(IMAGE, "tensor(uint8)", (BATCH, 1, height, width)),)


def read_info(
    metadata: Mapping[str, str],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    source: str,
) -> ModelInfo:
    """Check a model against the contract and return what it says of itself.

    Args:
        metadata: the file's metadata_props.
        inputs: of its graph.
        outputs: of its graph.
        source: the file's name, for messages.

    Raises:
        ModelError: it lacks the contract, has a newer one, or breaks it.
    """
    check_version(metadata, source)
    info = _read_metadata(metadata, outputs, source)
    wanted = tensors(info.noise_dim, info.height, info.width)
    for kind, found, promised in (("input", inputs, wanted[0]), ("output", outputs, wanted[1])):
        found_text, promised_text = _describe(found), _describe(promised)
        if found_text != promised_text:
            raise ModelError(
                f"{source} breaks the model contract: its {kind} is {found_text}, promised is "
                f"{promised_text}; export it again with cgan-export"
            )
    return info


def check_version(metadata: Mapping[str, str], source: str) -> None:
    """Check that this is a model of the contract's version.

    Args:
        metadata: the file's metadata_props.
        source: the file's name, for messages.

    Raises:
        ModelError: it lacks the contract, or has a newer or an older one.
    """
    version = metadata.get(CONTRACT_KEY)
    if version is None:
        raise ModelError(
            f"{source} is an ONNX model, but not one that cgan-export wrote (its metadata lack "
            f"{CONTRACT_KEY}); export one with cgan-export"
        )
    if not re.fullmatch("0|[1-9][0-9]{0,8}", version):
        raise ModelError(
            f"{source} has a malformed contract version {version!r:.40}; export it again"
        )
    if int(version) > CONTRACT_VERSION:
        raise ModelError(
            f"{source} follows model contract {version}, this cgan-runtime knows "
            f"{CONTRACT_VERSION}; upgrade cgan-runtime"
        )
    if int(version) < CONTRACT_VERSION:
        raise ModelError(
            f"{source} follows model contract {version}, which is older than the "
            f"{CONTRACT_VERSION} that this cgan-runtime knows; export it again with cgan-export"
        )


def _read_metadata(
    metadata: Mapping[str, str], outputs: Sequence[Tensor], source: str
) -> ModelInfo:
    try:
        height, width = _image_size(outputs)
        class_names = _list_of(str, _parsed(metadata[f"{PREFIX}class_names"]))
        golden = _table(metadata[f"{PREFIX}golden"])
        labels = _list_of(int, golden["labels"])
        return ModelInfo(
            class_names=class_names,
            noise_dim=_in_range(_parsed(metadata[f"{PREFIX}noise_dim"]), 2**31, least=1),
            height=height,
            width=width,
            golden=Golden(
                seed=_in_range(golden["seed"], 2**64),
                labels=tuple(_in_range(label, len(class_names)) for label in labels),
                images=_unpacked(golden["images"], len(labels) * height * width),
            ),
            dataset=metadata[f"{PREFIX}dataset"],
            precision=metadata[f"{PREFIX}precision"],
            weights_sha256=metadata[f"{PREFIX}weights_sha256"],
            recipe=_table(metadata[f"{PREFIX}recipe"]),
            training=_table(metadata[f"{PREFIX}training"]),
            versions=_table(metadata[f"{PREFIX}versions"]),
            quality=_table(metadata[f"{PREFIX}quality"]),
            verification=_table(metadata[f"{PREFIX}verification"]),
        )
    except (KeyError, TypeError, ValueError, zlib_error) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(
            f"{source} has malformed contract metadata ({reason:.120}); "
            "export it again with cgan-export"
        ) from error


def _parsed(text: str) -> object:
    """Return what a JSON text holds.

    Raises:
        ValueError: it is malformed, nested too deeply, holds NaN or half a character.
    """

    def refuse(name: str) -> object:
        raise ValueError(f"{name} is no number")

    try:
        value: object = json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if "\\u" in text:  # by which half a surrogate pair could come
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _table(text: str) -> dict[str, Any]:
    value = _parsed(text)
    if not isinstance(value, dict):
        raise TypeError(f"{text!r:.40} is no table")
    return value


def _list_of(kind: type[T], values: object) -> tuple[T, ...]:
    if not isinstance(values, list) or not values or {type(value) for value in values} != {kind}:
        raise TypeError(f"{values!r:.40} is not a list of {kind.__name__}")
    return tuple(values)


def _in_range(value: object, end: int, *, least: int = 0) -> int:
    if type(value) is not int or not least <= value < end:
        raise ValueError(f"{value!r:.40} is no whole number from {least} to {end - 1}")
    return value


def _unpacked(text: object, size: int) -> bytes:
    """Return the bytes of a golden sample, which has to be of this size.

    Raises:
        TypeError, ValueError, zlib.error: it is not. A bomb is not unpacked further than that.
    """
    if not isinstance(text, str) or size > MOST_GOLDEN:
        raise ValueError(f"a golden sample of {size:,} bytes")
    packed = decompressobj()
    content = packed.decompress(b64decode(text, validate=True), size + 1)
    if len(content) != size or not packed.eof:
        raise ValueError("a golden sample of the wrong size")
    return content


def _image_size(outputs: Sequence[Tensor]) -> tuple[int, int]:
    for output in outputs:
        if output.name == IMAGE and len(output.shape) == 4:
            height, width = output.shape[2:]
            if isinstance(height, int) and isinstance(width, int):
                return height, width
    raise ValueError(f"no output {IMAGE!r} of a fixed height and width")


def _describe(found: Sequence[Tensor]) -> str:
    return ", ".join(
        f"{tensor.name} {tensor.type} [{', '.join(map(str, tensor.shape))}]" for tensor in found
    )
