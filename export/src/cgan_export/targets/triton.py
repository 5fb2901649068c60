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
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cgan_export.errors import ExportError
from cgan_export.targets.quoting import quoted
from cgan_runtime.errors import OutputError, printable
from cgan_runtime.files import atomic_write
from cgan_runtime.model_file.contract import PREFIX, ModelInfo, TensorSpec, tensor_specs
from cgan_runtime.model_file.validation.graph_validation import validate_model

CONFIG, MODEL = "config.pbtxt", "model.onnx"
MAX_SERVICE_NAME = 50  # Kubernetes allows 63 characters, of which KServe's "-predictor" takes 10
TYPES = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64", "tensor(uint8)": "TYPE_UINT8"}
KSERVE = """\
# An example. Copy {repository} to a place that the cluster can read, set storageUri to it, then run
#   kubectl apply -f {file}
# To use a GPU, add nvidia.com/gpu: 1 to the limits and NVIDIA_TF32_OVERRIDE=0 to the environment.
# Without this variable, matrix multiplications are rounded to TF32, which breaks int8 models.
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
      storageUri: {uri}
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
        path: the exported file. Its name without the suffix becomes the name of the model.
        repository: Triton's model repository. It is created if it does not exist.
        info: the file's metadata.

    Returns:
        The folder of the version.

    Raises:
        ExportError: the repository has a different config.pbtxt for the model.
        OutputError: the repository cannot be written.
    """
    content = path.read_bytes()
    max_batch = validate_model(content, str(path)).max_batch
    check_repository(path, repository, info, max_batch)
    folder = repository / path.stem
    example = repository / f"{path.stem}.kserve.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / CONFIG).exists():
            with atomic_write(folder / CONFIG) as file:
                file.write(triton_config(path.stem, info, max_batch).encode())
        version = _add_version(folder, content)
        if not example.exists():  # users edit it, so it is never overwritten
            with atomic_write(example) as file:
                file.write(kserve_example(path.stem, repository).encode())
    except OSError as error:
        raise OutputError(
            f"cannot write to {repository}: {error.strerror or error}; choose another folder"
        ) from error
    return version


def check_repository(
    path: Path, repository: Path, info: ModelInfo, max_batch: int | None = None
) -> None:
    """Check that write_repository() can write a file's model. This creates nothing.

    Before the export, max_batch is not known. If it is None, config.pbtxt is compared without it.

    Raises:
        ExportError: the name of the file has unprintable characters, or the repository has a
            different config.pbtxt for the model.
        OutputError: the repository cannot be written.
    """
    if not path.stem.isprintable():
        raise ExportError(
            f"{path.stem!r} cannot be a Triton model name, because it has unprintable characters; "
            "choose another name for OUTPUT"
        )
    folder = repository / path.stem
    config = triton_config(path.stem, info, max_batch or 0).encode()
    try:
        existing = next(each for each in (folder, *folder.parents) if each.exists())
        with suppress(FileNotFoundError):
            (existing / f"{path.stem}.kserve.yaml").lstat()  # raises an error if it is too long
        with tempfile.TemporaryFile(dir=existing):
            pass
        written = (folder / CONFIG).read_bytes() if (folder / CONFIG).exists() else config
        if max_batch is None:
            written = re.sub(rb"(?m)^max_batch_size: \d+$", b"max_batch_size: 0", written)
        if written != config:
            raise ExportError(
                f"{folder / CONFIG} was edited or belongs to another model; move it away so that "
                "it is written again, or choose another name for OUTPUT"
            )
    except (OSError, ValueError) as error:  # ValueError: a null character
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"cannot write to {repository}: {reason}; choose another folder"
        ) from error


def triton_config(name: str, info: ModelInfo, max_batch: int) -> str:
    """Return the config.pbtxt of a model: protobuf's text format, message inference.ModelConfig.

    max_batch is the largest number of images of one run.

    Triton adds the batch dimension to every tensor and requires at least one other dimension. The
    contract's label has only the batch dimension, so it is sent as [batch, 1] and reshaped.
    """
    inputs, outputs = tensor_specs(info.noise_dim, info.image_shape)
    return "\n".join(
        [
            f"name: {quoted(name)}",
            'backend: "onnxruntime"',
            f"max_batch_size: {max_batch}",
            *_tensor_lines("input", inputs),
            *_tensor_lines("output", outputs),
            "dynamic_batching { }",
            "parameters {",
            f"  key: {quoted(f'{PREFIX}class_names')}",
            f"  value {{ string_value: {quoted(json.dumps(list(info.class_names)))} }}",
            "}",
            "",
        ]
    )


def kserve_example(name: str, repository: Path) -> str:
    """Return an example of a KServe InferenceService that serves the repository."""
    letters = re.sub("[^a-z0-9]+", "-", name.lower())[:MAX_SERVICE_NAME].strip("-")
    service = letters if letters[:1].isalpha() else f"model-{letters}".strip("-")
    folder = printable(repository.resolve().name)
    return KSERVE.format(
        file=shlex.quote(f"{name}.kserve.yaml"),
        # A JSON string with ensure_ascii=False is also a YAML string.
        service=json.dumps(service),
        uri=json.dumps(f"pvc://models/{folder}", ensure_ascii=False),
        repository=folder,
    )


def _add_version(folder: Path, content: bytes) -> Path:
    """Add a version folder, which appears only when it is complete."""
    names = [each.name for each in folder.iterdir()]
    last = max((int(name) for name in names if re.fullmatch("[1-9][0-9]*", name)), default=0)
    newest = folder / str(last)
    if (newest / MODEL).is_file() and (newest / MODEL).read_bytes() == content:
        return newest
    temporary = folder / f".{secrets.token_hex(8)}.part"  # Triton ignores non-numeric names
    try:
        temporary.mkdir()
        with atomic_write(temporary / MODEL) as file:
            file.write(content)
        return temporary.rename(folder / str(last + 1))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _tensor_lines(kind: str, tensors: Sequence[TensorSpec]) -> list[str]:
    lines = []
    for tensor in tensors:
        dims = ", ".join(map(str, tensor.shape[1:]))
        lines += [
            f"{kind} {{",
            f"  name: {quoted(tensor.name)}",
            f"  data_type: {TYPES[tensor.type]}",
            f"  dims: [ {dims or 1} ]",
            *([] if dims else ["  reshape { shape: [ ] }"]),
            "}",
        ]
    return lines
