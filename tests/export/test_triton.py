"""The Triton model repository, checked with Triton's own schema and client, without a server."""

import dataclasses
import errno
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from google.protobuf import text_format
from numpy.typing import NDArray
from tritonclient import grpc as triton
from tritonclient.grpc import model_config_pb2, service_pb2

from cgan_export import targets
from cgan_export.errors import ExportError
from cgan_export.targets.triton import (
    check_repository,
    kserve_example,
    triton_config,
    write_repository,
)
from cgan_runtime import ImageGenerator, ModelInfo, OutputError
from cgan_runtime.model_file.checksum import add_checksum
from cgan_runtime.model_file.contract import LABEL, NOISE
from cgan_runtime.model_file.validation.graph_validation import validate_model
from cgan_runtime.noise import standard_normal

# model_configuration.md, section "Datatypes".
ONNX_TYPES = {
    model_config_pb2.TYPE_FP32: onnx.TensorProto.FLOAT,
    model_config_pb2.TYPE_INT64: onnx.TensorProto.INT64,
    model_config_pb2.TYPE_UINT8: onnx.TensorProto.UINT8,
}


def read_config(path: Path) -> Any:
    """Parse a config.pbtxt. An unknown field or a wrong type is an error."""
    return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())


def shape_of(tensor: Any) -> list[int]:
    """Return the shape that the model receives: the batch, then the dims after the reshape."""
    return [-1, *(tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims)]


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def info(onnx_file: Path) -> ModelInfo:
    with ImageGenerator(onnx_file, "cpu") as generator:
        return generator.info


@pytest.fixture
def repository(tmp_path: Path, onnx_file: Path, info: ModelInfo) -> Path:
    folder = tmp_path / "served" / "repository"
    assert write_repository(onnx_file, folder, info) == folder / "small" / "1"
    return folder


def test_a_second_export_of_the_same_bytes_changes_nothing(
    repository: Path, onnx_file: Path, info: ModelInfo
) -> None:
    example = repository / "small.kserve.yaml"
    example.write_text("edited")
    assert write_repository(onnx_file, repository, info) == repository / "small" / "1"
    assert example.read_text() == "edited"
    assert names_in(repository) == [
        "small",
        "small.kserve.yaml",
        "small/1",
        "small/1/model.onnx",
        "small/config.pbtxt",
    ]
    assert (repository / "small" / "1" / "model.onnx").read_bytes() == onnx_file.read_bytes()


def test_the_config_describes_the_tensors_of_the_model(repository: Path, info: ModelInfo) -> None:
    config = read_config(repository / "small" / "config.pbtxt")
    assert (config.name, config.backend, config.max_batch_size) == ("small", "onnxruntime", 1024)
    assert config.HasField("dynamic_batching")
    names = config.parameters["cgan.class_names"].string_value
    assert tuple(yaml.safe_load(names)) == info.class_names
    graph = onnx.load(repository / "small" / "1" / "model.onnx").graph
    for described, tensors in ((config.input, graph.input), (config.output, graph.output)):
        assert [each.name for each in described] == [each.name for each in tensors]
        for entry, tensor in zip(described, tensors, strict=True):
            assert ONNX_TYPES[entry.data_type] == tensor.type.tensor_type.elem_type
            batch, *others = tensor.type.tensor_type.shape.dim
            assert batch.dim_param
            assert shape_of(entry) == [-1, *(each.dim_value for each in others)]
            assert list(entry.dims)  # a client cannot send an empty shape


def test_a_request_generates_the_images_of_the_runtime(repository: Path, onnx_file: Path) -> None:
    """The test reshapes a client's request as Triton's documentation describes."""
    generator = ImageGenerator(onnx_file, "cpu")
    labels = [2, 0, 2, 6]
    noise = standard_normal(7, 0, 4, generator.info.noise_dim)
    column = np.array(labels, np.int64)[:, None]
    inputs = [
        triton.InferInput(NOISE, list(noise.shape), "FP32").set_data_from_numpy(noise),
        triton.InferInput(LABEL, list(column.shape), "INT64").set_data_from_numpy(column),
    ]
    config = read_config(repository / "small" / "config.pbtxt")
    feeds: dict[str, NDArray[Any]] = {}
    for sent, entry in zip(inputs, config.input, strict=True):
        assert isinstance(sent._get_tensor(), service_pb2.ModelInferRequest.InferInputTensor)
        data_type = model_config_pb2.DataType.Name(entry.data_type).removeprefix("TYPE_")
        assert (sent.name(), sent.datatype()) == (entry.name, data_type)
        assert sent.shape()[1:] == list(entry.dims)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(ONNX_TYPES[entry.data_type])
        feeds[entry.name] = np.frombuffer(sent._get_content(), dtype).reshape(shape_of(entry))
    assert generator._sessions is not None
    (images,) = generator._sessions.main.run(None, feeds)
    np.testing.assert_array_equal(images, generator.generate(labels, seed=7))


def test_special_characters_are_escaped_in_the_config(info: ModelInfo) -> None:
    names = ('a "b"', "back\\slash", "Stiefel für 雨", "two\nlines")
    text = triton_config('a "name"', dataclasses.replace(info, class_names=names), 8)
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert config.name == 'a "name"'
    assert tuple(yaml.safe_load(config.parameters["cgan.class_names"].string_value)) == names


def test_the_kserve_example_serves_the_repository(
    repository: Path, tmp_path: Path, onnx_file: Path, info: ModelInfo
) -> None:
    service = yaml.safe_load((repository / "small.kserve.yaml").read_text())
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    assert service["kind"] == "InferenceService"
    assert service["metadata"] == {"name": "small"}
    model = service["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "triton"}
    assert model["protocolVersion"] == "v2"
    assert model["storageUri"] == "pvc://models/repository"
    path = tmp_path / "My_Digits 2.onnx"  # not a valid name in Kubernetes
    path.write_bytes(onnx_file.read_bytes())
    write_repository(path, repository, info)
    service = yaml.safe_load((repository / "My_Digits 2.kserve.yaml").read_text())
    assert service["metadata"]["name"] == "my-digits-2"


@pytest.mark.parametrize(
    ("name", "folder", "service"),
    [
        ("2 digits", "a: b # c", "model-2-digits"),
        ("数字", 'it\'s "q" \\', "model"),
        ("x" * 200, " spaces ", "x" * 50),
        ("null", "[a]", "null"),
    ],
)
def test_any_name_gives_valid_yaml(name: str, folder: str, service: str, tmp_path: Path) -> None:
    text = kserve_example(name, tmp_path / folder)
    values = yaml.safe_load(text)
    assert values["metadata"] == {"name": service}
    assert values["spec"]["predictor"]["model"]["storageUri"] == f"pvc://models/{folder}"


def test_a_check_before_the_export_creates_nothing(tmp_path: Path, info: ModelInfo) -> None:
    check_repository(Path("small.onnx"), tmp_path / "models" / "of" / "mine", info)
    assert not [*tmp_path.iterdir()]


def test_a_changed_model_becomes_a_new_version(
    repository: Path, tmp_path: Path, onnx_file: Path, info: ModelInfo
) -> None:
    changed = tmp_path / "small.onnx"
    model = onnx.load(onnx_file)
    del model.metadata_props[-1]  # the checksum
    model.producer_version = "changed"
    changed.write_bytes(add_checksum(model.SerializeToString()))
    before = (repository / "small" / "1" / "model.onnx").read_bytes()
    (repository / "small" / "9").mkdir()
    (repository / "small" / "010").mkdir()  # Triton ignores it
    assert write_repository(changed, repository, info) == repository / "small" / "10"
    assert (repository / "small" / "10" / "model.onnx").read_bytes() == changed.read_bytes()
    assert (repository / "small" / "1" / "model.onnx").read_bytes() == before


def test_a_batch_is_as_large_as_the_runtime_allows(
    tmp_path: Path, onnx_file: Path, info: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    valid = validate_model(onnx_file.read_bytes(), "m.onnx")
    monkeypatch.setattr(targets.triton, "validate_model", lambda *_: valid._replace(max_batch=8))
    write_repository(onnx_file, tmp_path, info)
    assert read_config(tmp_path / "small" / "config.pbtxt").max_batch_size == 8
    check_repository(onnx_file, tmp_path, info)
    monkeypatch.undo()
    with pytest.raises(ExportError, match=r"config\.pbtxt was edited or belongs to another model;"):
        write_repository(onnx_file, tmp_path, info)


def test_an_edited_config_is_not_overwritten(
    repository: Path, onnx_file: Path, info: ModelInfo
) -> None:
    config = repository / "small" / "config.pbtxt"
    config.write_text(config.read_text() + "instance_group { count: 2 kind: KIND_CPU }\n")
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    with pytest.raises(ExportError, match=r"config\.pbtxt was edited or belongs to another model;"):
        write_repository(onnx_file, repository, info)
    assert {p: p.read_bytes() for p in repository.rglob("*") if p.is_file()} == before


def test_a_full_disk_leaves_no_version(
    tmp_path: Path, onnx_file: Path, info: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OutputError, match=r"cannot write to .*: No space left on device; choose"):
        write_repository(onnx_file, tmp_path / "models", info)
    assert names_in(tmp_path / "models") == ["small", "small/config.pbtxt"]
