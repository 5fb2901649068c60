"""A model repository for NVIDIA's Triton Inference Server.

    REPOSITORY/NAME/config.pbtxt       tensors and dynamic batching
    REPOSITORY/NAME/1/model.onnx       the first version; later exports add 2, 3, ...
    REPOSITORY/NAME.kserve.yaml        an example of serving the repository with KServe

Sources: docs/user_guide/model_repository.md and model_configuration.md in the repository of
Triton's server, and the schema model_config.proto in its common repository.
"""

import json
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from cgan_export.errors import ExportError
from cgan_runtime.errors import OutputError, printable
from cgan_runtime.files import atomic_write
from cgan_runtime.model_file.contract import MAX_BATCH, PREFIX, ModelInfo, TensorSpec, tensor_specs

CONFIG, MODEL = "config.pbtxt", "model.onnx"
TYPES = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64", "tensor(uint8)": "TYPE_UINT8"}
KSERVE = """\
# An example. Copy {repository} to a place that the cluster can read, set storageUri to it, then run
#   kubectl apply -f {name}.kserve.yaml
# To use a GPU, add nvidia.com/gpu: 1 to the limits and NVIDIA_TF32_OVERRIDE=0 to the environment.
# Without the latter, matrix multiplications are rounded to TF32, which breaks int8 models.
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


def write_repository(path: Path, repository: Path, info: ModelInfo) -> Path:
    """Add an exported file to a model repository as the newest version of its model.

    Existing versions are never changed. If the newest version has the same bytes, no version is
    added.

    Args:
        path: the exported file. The model gets its name without the suffix.
        repository: Triton's model repository. It is created if it does not exist.
        info: the file's metadata.

    Returns:
        The folder of the version.

    Raises:
        ExportError: the repository has a different config.pbtxt for the model.
        OutputError: the repository cannot be written.
    """
    check_model_name(path)
    folder, content = repository / path.stem, path.read_bytes()
    example = repository / f"{path.stem}.kserve.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_config(folder / CONFIG, triton_config(path.stem, info))
        version = _add_version(folder, content)
        if not example.exists():  # users edit it, so it is never overwritten
            with atomic_write(example) as file:
                file.write(kserve_example(path.stem, repository).encode())
    except OSError as error:
        raise OutputError(
            f"cannot write to {repository}: {error.strerror or error}; choose another folder"
        ) from error
    return version


def check_model_name(path: Path) -> None:
    """Check that a model can have the name of this file.

    Raises:
        ExportError: the name has characters that are not printable.
    """
    if not path.stem.isprintable():
        raise ExportError(
            f"{path.stem!r} cannot be a Triton model name, because it has unprintable characters; "
            "choose another name for OUTPUT"
        )


def triton_config(name: str, info: ModelInfo) -> str:
    """Return the config.pbtxt of a model: protobuf's text format, message inference.ModelConfig.

    Triton adds the batch dimension to every tensor and requires at least one other dimension. The
    contract's label has only the batch dimension, so it is sent as [batch, 1] and reshaped.
    """
    inputs, outputs = tensor_specs(info.noise_dim, info.height, info.width)
    return "\n".join(
        [
            f"name: {_quoted(name)}",
            'backend: "onnxruntime"',
            f"max_batch_size: {MAX_BATCH}",
            *_tensor_lines("input", inputs),
            *_tensor_lines("output", outputs),
            "dynamic_batching { }",
            "parameters {",
            f"  key: {_quoted(f'{PREFIX}class_names')}",
            f"  value {{ string_value: {_quoted(json.dumps(list(info.class_names)))} }}",
            "}",
            "",
        ]
    )


def kserve_example(name: str, repository: Path) -> str:
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
            f"{path} was edited or belongs to another model; move it away so that it is written "
            "again, or choose another name for OUTPUT"
        )


def _add_version(folder: Path, content: bytes) -> Path:
    """Add a version folder, which appears only when it is complete."""
    names = [each.name for each in folder.iterdir()]
    last = max((int(name) for name in names if re.fullmatch("[1-9][0-9]*", name)), default=0)
    newest = folder / str(last)
    if (newest / MODEL).is_file() and (newest / MODEL).read_bytes() == content:
        return newest
    temporary = folder / f".{secrets.token_hex(8)}.part"  # Triton ignores names without a number
    try:
        temporary.mkdir()
        with atomic_write(temporary / MODEL) as file:
            file.write(content)
        return temporary.rename(folder / str(last + 1))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _tensor_lines(kind: str, described: Sequence[TensorSpec]) -> list[str]:
    lines = []
    for tensor in described:
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
