"""The model repository for Triton, by Triton's own schema and client. No server runs here."""

import dataclasses
import subprocess
from collections.abc import Callable
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

from cgan_export.errors import ExportError
from cgan_export.targets.triton import config_of, write_repository
from cgan_runtime import ImageGenerator, OutputError
from cgan_runtime.model_file.contract import LABEL, NOISE
from cgan_runtime.noise import standard_normal

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]
# model_configuration.md, Datatypes.
ONNX_TYPES = {
    model_config_pb2.TYPE_FP32: onnx.TensorProto.FLOAT,
    model_config_pb2.TYPE_INT64: onnx.TensorProto.INT64,
    model_config_pb2.TYPE_UINT8: onnx.TensorProto.UINT8,
}


def parsed(path: Path) -> Any:
    """Return a config.pbtxt as Triton's message; an unknown field or a wrong type is an error."""
    return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())


def shape_of(tensor: Any) -> list[int]:
    """Return the shape that the model sees: the batch, -1, before the dims, reshaped if asked."""
    return [-1, *(tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims)]


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def repository(tmp_path: Path, onnx_file: Path) -> Path:
    folder = tmp_path / "repository"
    write_repository(onnx_file, folder)
    return folder


def test_the_command_writes_a_repository(command: Command, run_dir: Path, tmp_path: Path) -> None:
    done = command("cgan-export", run_dir, "digits.onnx", "--triton", "served/models")
    assert done.returncode == 0, done.stderr
    assert b"for Triton        served/models/digits/1\n" in done.stdout
    assert names_in(tmp_path / "served") == [
        "models",
        "models/digits",
        "models/digits.kserve.yaml",
        "models/digits/1",
        "models/digits/1/model.onnx",
        "models/digits/config.pbtxt",
    ]
    model = tmp_path / "served" / "models" / "digits" / "1" / "model.onnx"
    assert model.read_bytes() == (tmp_path / "digits.onnx").read_bytes()


def test_each_precision_is_a_model(call: Command, run_dir: Path, tmp_path: Path) -> None:
    done = call(
        *("cgan-export", run_dir, "digits.onnx", "--triton", "models", "--no-quality-gate"),
        *("--precision", "fp32", "--precision", "int8", "--json"),
    )
    assert done.returncode == 0, done.stderr
    assert b'"triton": "models/digits-int8/1"' in done.stdout
    for name in ("digits-fp32", "digits-int8"):
        assert parsed(tmp_path / "models" / name / "config.pbtxt").name == name


def test_the_config_by_tritons_own_schema(repository: Path, onnx_file: Path) -> None:
    config = parsed(repository / "small" / "config.pbtxt")
    assert (config.name, config.backend) == ("small", "onnxruntime")
    assert config.max_batch_size == 1024
    assert config.HasField("dynamic_batching")
    info = ImageGenerator(onnx_file).info
    names = config.parameters["cgan.class_names"].string_value
    assert names == '["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]'
    assert tuple(yaml.safe_load(names)) == info.class_names


def test_the_config_agrees_with_the_model(repository: Path) -> None:
    config = parsed(repository / "small" / "config.pbtxt")
    graph = onnx.load(repository / "small" / "1" / "model.onnx").graph
    for described, tensors in ((config.input, graph.input), (config.output, graph.output)):
        assert [each.name for each in described] == [each.name for each in tensors]
        for told, tensor in zip(described, tensors, strict=True):
            found = tensor.type.tensor_type
            assert ONNX_TYPES[told.data_type] == found.elem_type
            first, *others = found.shape.dim
            assert first.dim_param
            assert shape_of(told) == [-1, *(each.dim_value for each in others)]
            # An empty shape is none that a client could send.
            assert list(told.dims)


def test_a_clients_request_draws_what_the_runtime_draws(repository: Path, onnx_file: Path) -> None:
    """What Triton does between its client and onnxruntime, by its documentation: reshape."""
    generator = ImageGenerator(onnx_file, "cpu")
    labels = [2, 0, 2, 6]
    noise = standard_normal(7, 0, 4, generator.info.noise_dim)
    column = np.array(labels, np.int64)[:, None]
    inputs = [
        triton.InferInput(NOISE, list(noise.shape), "FP32").set_data_from_numpy(noise),
        triton.InferInput(LABEL, list(column.shape), "INT64").set_data_from_numpy(column),
    ]
    config = parsed(repository / "small" / "config.pbtxt")
    feeds: dict[str, NDArray[Any]] = {}
    for sent, told in zip(inputs, config.input, strict=True):
        assert isinstance(sent._get_tensor(), service_pb2.ModelInferRequest.InferInputTensor)
        assert (sent.name(), sent.datatype()) == (
            told.name,
            model_config_pb2.DataType.Name(told.data_type).removeprefix("TYPE_"),
        )
        assert sent.shape()[1:] == list(told.dims)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(ONNX_TYPES[told.data_type])
        feeds[told.name] = np.frombuffer(sent._get_content(), dtype).reshape(shape_of(told))
    assert generator._sessions is not None
    (drawn,) = generator._sessions.main.run(None, feeds)
    np.testing.assert_array_equal(drawn, generator.generate(labels, seed=7))


def test_names_that_the_text_format_must_escape(onnx_file: Path) -> None:
    names = ('a "b"', "back\\slash", "Stiefel für 雨", "two\nlines")
    info = dataclasses.replace(ImageGenerator(onnx_file).info, class_names=names)
    config = text_format.Parse(config_of('a "name"', info), model_config_pb2.ModelConfig())
    assert config.name == 'a "name"'
    told = config.parameters["cgan.class_names"].string_value
    assert tuple(yaml.safe_load(told)) == names


def test_an_example_for_kserve(repository: Path) -> None:
    service = yaml.safe_load((repository / "small.kserve.yaml").read_text())
    assert (service["apiVersion"], service["kind"]) == (
        "serving.kserve.io/v1beta1",
        "InferenceService",
    )
    assert service["metadata"] == {"name": "small"}
    model = service["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "triton"}
    assert model["protocolVersion"] == "v2"
    assert model["storageUri"] == "pvc://models/repository"


def test_a_name_that_kubernetes_would_refuse(tmp_path: Path, onnx_file: Path) -> None:
    path = tmp_path / "My_Digits 2.onnx"
    path.write_bytes(onnx_file.read_bytes())
    write_repository(path, tmp_path / "models")
    text = (tmp_path / "models" / "My_Digits 2.kserve.yaml").read_text()
    assert yaml.safe_load(text)["metadata"]["name"] == "my-digits-2"


# What is there already.


def test_another_model_is_another_version(repository: Path, tmp_path: Path, run_dir: Path) -> None:
    from cgan_export import export_model

    other = tmp_path / "small.onnx"
    export_model(run_dir, other, opset=20)
    before = (repository / "small" / "1" / "model.onnx").read_bytes()
    (repository / "small" / "9").mkdir()  # Triton's newest, whatever is in it
    (repository / "small" / "010").mkdir()  # none of Triton's versions
    assert write_repository(other, repository) == repository / "small" / "10"
    assert (repository / "small" / "10" / "model.onnx").read_bytes() == other.read_bytes()
    assert (repository / "small" / "1" / "model.onnx").read_bytes() == before


def test_the_same_model_is_no_other_version(repository: Path, onnx_file: Path) -> None:
    example = repository / "small.kserve.yaml"
    example.write_text("edited")
    before = names_in(repository)
    assert write_repository(onnx_file, repository) == repository / "small" / "1"
    assert names_in(repository) == before
    assert example.read_text() == "edited"


def test_an_edited_config_is_left_alone(repository: Path, onnx_file: Path, tmp_path: Path) -> None:
    config = repository / "small" / "config.pbtxt"
    config.write_text(config.read_text() + "instance_group { count: 2 kind: KIND_CPU }\n")
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    with pytest.raises(ExportError, match=r"config\.pbtxt was edited, or is another model's; move"):
        write_repository(onnx_file, repository)
    assert {p: p.read_bytes() for p in repository.rglob("*") if p.is_file()} == before


def test_an_accident_leaves_no_version(
    tmp_path: Path, onnx_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OutputError, match=r"cannot write to .*: No space left on device; choose"):
        write_repository(onnx_file, tmp_path / "models")
    assert names_in(tmp_path / "models") == ["small", "small/config.pbtxt"]


def test_a_repository_that_cannot_be(tmp_path: Path, onnx_file: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write to .*file.*; choose another folder"):
        write_repository(onnx_file, tmp_path / "file")
