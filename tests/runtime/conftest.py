"""A tiny model that follows the contract and needs no training."""

import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
import pytest
from fake_onnxruntime import Fake, FakeOnnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file.checksum import add_checksum
from cgan_runtime.model_file.contract import (
    BATCH_AXIS,
    CONTRACT_KEY,
    IMAGE,
    IR_VERSION,
    LABEL,
    NOISE,
    OPSET,
    PREFIX,
    Golden,
    ImageShape,
    ModelInfo,
)
from cgan_runtime.noise import standard_normal

CLASSES, NOISE_DIM, HEIGHT, WIDTH = 10, 6, 12, 9  # no constant of the runtime has these sizes
GRAY_SHAPE: ImageShape = (1, HEIGHT, WIDTH)
COLOR_SHAPE: ImageShape = (3, 28, 20)
GOLDEN_SEED, GOLDEN_LABELS = 3, (2, 0, 2, 6)


def _weights(image_shape: ImageShape) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the weight of the noise and a table with the pixels of each label."""
    random, size = np.random.default_rng(0), math.prod(image_shape)
    weight = random.normal(0, 25, (NOISE_DIM, size)).astype(np.float32)
    table = random.uniform(20, 235, (CLASSES, size)).astype(np.float32)
    return weight, table


@pytest.fixture(scope="session")
def info() -> ModelInfo:
    """The metadata of the tiny model."""
    return _info(GRAY_SHAPE)


def _info(image_shape: ImageShape) -> ModelInfo:
    weight, table = _weights(image_shape)
    noise = standard_normal(GOLDEN_SEED, 0, len(GOLDEN_LABELS), NOISE_DIM)
    pixels = np.clip(noise @ weight + table[list(GOLDEN_LABELS)], 0, 255).astype(np.uint8)
    return ModelInfo(
        class_names=tuple("0123456789"),
        noise_dim=NOISE_DIM,
        image_shape=image_shape,
        dataset="made up",
        precision="fp32",
        weights_sha256="0" * 64,
        recipe={"name": "tiny", "noise_dim": NOISE_DIM},
        training={"epochs": 1, "seconds": 0.5},
        versions={"cgan-export": "0.1.0"},
        quality={"label_accuracy": 0.5},
        verification={"max_pixel_error": 0},
        golden=Golden(GOLDEN_SEED, GOLDEN_LABELS, pixels.tobytes()),
        bit_exact=False,
    )


class ModelMaker(Protocol):
    """Writes the tiny model with other metadata, or with an edited graph."""

    def __call__(
        self,
        path: Path,
        metadata: Mapping[str, str] | None = None,
        edit: Callable[[onnx.GraphProto], object] | None = None,
        image_shape: ImageShape = GRAY_SHAPE,
    ) -> Path: ...


def _graph(image_shape: ImageShape) -> onnx.GraphProto:
    weight, table = _weights(image_shape)
    constants = {
        "weight": weight,
        "table": table,
        "black": np.float32(0),
        "white": np.float32(255),
        "sizes": np.array([-1, *image_shape], np.int64),
    }
    describe = helper.make_tensor_value_info
    return helper.make_graph(
        [
            helper.make_node("Cast", [NOISE], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("Gemm", ["numbers", "weight"], ["pixels"]),
            helper.make_node("Gather", ["table", LABEL], ["row"]),
            helper.make_node("Add", ["pixels", "row"], ["sum"]),
            helper.make_node("Clip", ["sum", "black", "white"], ["clipped"]),
            helper.make_node("Reshape", ["clipped", "sizes"], ["gray"]),
            helper.make_node("Cast", ["gray"], [IMAGE], to=TensorProto.UINT8),
        ],
        "tiny",
        [
            describe(NOISE, TensorProto.FLOAT, [BATCH_AXIS, NOISE_DIM]),
            describe(LABEL, TensorProto.INT64, [BATCH_AXIS]),
        ],
        [describe(IMAGE, TensorProto.UINT8, [BATCH_AXIS, *image_shape])],
        [numpy_helper.from_array(np.asarray(each), key) for key, each in constants.items()],
    )


@pytest.fixture(scope="session")
def make_model() -> ModelMaker:
    def make(
        path: Path,
        metadata: Mapping[str, str] | None = None,
        edit: Callable[[onnx.GraphProto], object] | None = None,
        image_shape: ImageShape = GRAY_SHAPE,
    ) -> Path:
        graph = _graph(image_shape)
        if edit:
            edit(graph)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[opset])
        metadata = _info(image_shape).to_metadata() if metadata is None else metadata
        helper.set_model_props(model, dict(metadata))
        path.write_bytes(add_checksum(model.SerializeToString()))
        return path

    return make


@pytest.fixture(scope="session")
def tiny_model(make_model: ModelMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with ten classes, noise_dim 6 and images of 12 x 9. Tests must not change it."""
    return make_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def color_model(make_model: ModelMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model like the tiny one with color images of another size."""
    path = tmp_path_factory.mktemp("model") / "color.onnx"
    return make_model(path, image_shape=COLOR_SHAPE)


def _rename_output(graph: onnx.GraphProto) -> None:
    graph.output[0].name = graph.node[-1].output[0] = "picture"


def _return_floats(graph: onnx.GraphProto) -> None:
    graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    graph.node[-1].attribute[0].i = TensorProto.FLOAT


def _fix_batch_size(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1


def _drop_channels(graph: onnx.GraphProto) -> None:
    del graph.output[0].type.tensor_type.shape.dim[1]
    sizes = graph.initializer[-1]
    sizes.CopyFrom(numpy_helper.from_array(np.array([-1, HEIGHT, WIDTH]), sizes.name))


@pytest.fixture(scope="session")
def bad_models(
    make_model: ModelMaker,
    tiny_model: Path,
    info: ModelInfo,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Path]:
    """Paths that ImageGenerator must reject, by what is wrong with them."""
    folder = tmp_path_factory.mktemp("bad")
    content, metadata = tiny_model.read_bytes(), info.to_metadata()
    contents = {
        "empty": b"",
        "truncated": content[: len(content) // 2],
        "text": b"no model at all\n",
        "zeros": bytes(1000),
        "damaged": content.replace(b"Gather", b"Gotter"),
    }
    paths = {name: folder / f"{name}.onnx" for name in (*contents, "missing", "directory")}
    for name, each in contents.items():
        paths[name].write_bytes(each)
    paths["directory"].mkdir()
    paths["below-a-file"] = paths["text"] / "model.onnx"
    variants = {
        "foreign": {},
        "newer": metadata | {CONTRACT_KEY: "2"},
        "incomplete": {key: metadata[key] for key in metadata if key != f"{PREFIX}noise_dim"},
    }
    for name, each_metadata in variants.items():
        paths[name] = make_model(folder / f"{name}.onnx", each_metadata)
    edits: dict[str, Callable[[onnx.GraphProto], object]] = {
        "renamed": _rename_output,
        "retyped": lambda graph: setattr(
            graph.input[1].type.tensor_type, "elem_type", TensorProto.INT32
        ),
        "float": _return_floats,
        "static": _fix_batch_size,
        "three-dimensional": _drop_channels,
        "extra-input": lambda graph: graph.input.append(
            helper.make_tensor_value_info("more", TensorProto.FLOAT, [BATCH_AXIS])
        ),
    }
    for name, edit in edits.items():
        paths[name] = make_model(folder / f"{name}.onnx", edit=edit)
    return paths


@pytest.fixture(scope="session")
def generator(tiny_model: Path) -> ImageGenerator:
    return ImageGenerator(tiny_model, "cpu", threads=1)


@pytest.fixture(scope="session")
def shipped() -> ImageGenerator:
    """The shipped int8 model, which generates the same bytes in every batch."""
    return ImageGenerator(provider="cpu", threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The working directory of cgan_run, empty at first."""
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def cgan_run(tiny_model: Path, folder: Path) -> Callable[..., "subprocess.CompletedProcess[bytes]"]:
    """Run the installed command with the tiny model: cgan_run("--digit", 9)."""

    def run(*arguments: object, **extra: str) -> "subprocess.CompletedProcess[bytes]":
        script = Path(sys.executable).with_name("cgan-run")
        model = () if "--model" in arguments else ("--model", tiny_model)
        return subprocess.run(
            [script, *map(str, (*model, *arguments))],
            cwd=folder,
            env=os.environ | extra,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Replace onnxruntime with a fake."""

    def install(offered: list[str], obtained: list[str]) -> FakeOnnxruntime:
        module = FakeOnnxruntime(offered, obtained)
        monkeypatch.setitem(sys.modules, "onnxruntime", module)
        return module

    return install
