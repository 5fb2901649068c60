"""A model repository for NVIDIA's Triton Inference Server.

    REPOSITORY/NAME/config.pbtxt       tensors, dynamic batching
    REPOSITORY/NAME/1/model.onnx       the first version; a later export adds 2, 3, ...
    REPOSITORY/NAME.kserve.yaml        an example of serving the repository with KServe

Triton's own words: docs/user_guide/model_repository.md and model_configuration.md in its server's
repository; the configuration's schema is model_config.proto in its common repository.
"""

import json
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from cgan_export.errors import ExportError
from cgan_runtime import ImageGenerator
from cgan_runtime.cli.conventions import printable
from cgan_runtime.errors import OutputError
from cgan_runtime.files import atomic_write
from cgan_runtime.generator import LARGEST_BATCH
from cgan_runtime.model_file.contract import PREFIX, ModelInfo, Tensor, tensors

CONFIG, MODEL = "config.pbtxt", "model.onnx"
TYPES = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64", "tensor(uint8)": "TYPE_UINT8"}
KSERVE = """\
# An example: put {repository} where the cluster finds it, name that place in storageUri, then
#   kubectl apply -f {name}.kserve.yaml
# A GPU: add nvidia.com/gpu: 1 to the limits, and NVIDIA_TF32_OVERRIDE=0 to the environment, or
# products are rounded to TF32, which int8 models do not survive.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {service}
spec:
  predictor:
    model:
      modelFormat:
        name: triton
      protocolVersion: v2
      storageUri: pvc://models/{repository}
      resources:
        limits:
          cpu: "1"
          memory: 2Gi
"""


def write_repository(path: Path, repository: Path) -> Path:
    """Add an exported file to a model repository, as its model's newest version.

    A version is never written to again. One that holds the same bytes already is left as it is.

    Args:
        path: the exported file; the model is called as it is, without the ending.
        repository: Triton's; made where it is missing.

    Returns:
        The version's folder.

    Raises:
        ExportError: the model's config.pbtxt in the repository is another one.
        OutputError: the repository cannot be written.
    """
    check_name(path)
    with ImageGenerator(path, provider="cpu", threads=1) as generator:
        info = generator.info
    folder, content = repository / path.stem, path.read_bytes()
    example = repository / f"{path.stem}.kserve.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_config(folder / CONFIG, config_of(path.stem, info))
        version = _add_version(folder, content)
        if not example.exists():  # it is there to be edited
            with atomic_write(example) as file:
                file.write(kserve_of(path.stem, repository).encode())
    except OSError as error:
        raise OutputError(
            f"cannot write to {repository}: {error.strerror or error}; choose another folder"
        ) from error
    return version


def check_name(path: Path) -> None:
    """Check that Triton can call a model as this file is called.

    Raises:
        ExportError: it cannot.
    """
    if not path.stem.isprintable():
        raise ExportError(
            f"Triton can call no model {path.stem!r}: it is not printable; call OUTPUT otherwise"
        )


def config_of(name: str, info: ModelInfo) -> str:
    """Return the config.pbtxt of a model: protobuf's text format, message inference.ModelConfig.

    Triton puts the batch in front of every tensor's dims, and wants at least one of them. The
    contract's label is the batch alone: it comes as [batch, 1] and is reshaped.
    """
    inputs, outputs = tensors(info.noise_dim, info.height, info.width)
    return "\n".join(
        [
            f"name: {_quoted(name)}",
            'backend: "onnxruntime"',
            f"max_batch_size: {LARGEST_BATCH}",
            *_described("input", inputs),
            *_described("output", outputs),
            "dynamic_batching { }",
            "parameters {",
            f"  key: {_quoted(f'{PREFIX}class_names')}",
            f"  value {{ string_value: {_quoted(json.dumps(list(info.class_names)))} }}",
            "}",
            "",
        ]
    )


def kserve_of(name: str, repository: Path) -> str:
    """Return an example of a KServe InferenceService that serves the repository."""
    service = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-") or "digits"
    return KSERVE.format(
        name=name, service=service, repository=printable(repository.resolve().name)
    )


def _write_config(path: Path, text: str) -> None:
    if not path.exists():
        with atomic_write(path) as file:
            file.write(text.encode())
    elif path.read_bytes() != text.encode():
        raise ExportError(
            f"{path} was edited, or is another model's; move it away to have it written anew, or "
            "call OUTPUT otherwise"
        )


def _add_version(folder: Path, content: bytes) -> Path:
    """Write the model as one more version, whose folder appears whole."""
    names = [each.name for each in folder.iterdir()]
    last = max((int(name) for name in names if re.fullmatch("[1-9][0-9]*", name)), default=0)
    newest = folder / str(last)
    if (newest / MODEL).is_file() and (newest / MODEL).read_bytes() == content:
        return newest
    half = folder / f".{secrets.token_hex(8)}.part"  # Triton passes over what is no number
    try:
        half.mkdir()
        with atomic_write(half / MODEL) as file:
            file.write(content)
        return half.rename(folder / str(last + 1))
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _described(kind: str, wanted: Sequence[Tensor]) -> list[str]:
    lines = []
    for tensor in wanted:
        dims = ", ".join(map(str, tensor.shape[1:]))
        lines += [
            f"{kind} {{",
            f"  name: {_quoted(tensor.name)}",
            f"  data_type: {TYPES[tensor.type]}",
            f"  dims: [ {dims or 1} ]",
            *([] if dims else ["  reshape { shape: [ ] }"]),
            "}",
        ]
    return lines


def _quoted(text: str) -> str:
    """Return a string literal of protobuf's text format."""
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(plain)}"'
