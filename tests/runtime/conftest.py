"""A tiny model that follows the contract, so that the runtime's tests need no torch."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file.checksum import add_checksum
from cgan_runtime.model_file.contract import (
    BATCH,
    CONTRACT_KEY,
    IMAGE,
    IR_VERSION,
    LABEL,
    NOISE,
    OPSET,
    PREFIX,
    Golden,
    ModelInfo,
    tensors,
)
from cgan_runtime.noise import standard_normal

CLASSES, NOISE_DIM, HEIGHT, WIDTH = 10, 6, 12, 9  # sizes that only the model can have told
GOLDEN_SEED, GOLDEN_LABELS = 3, (2, 0, 2, 6)


def _weights() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what the noise is multiplied with and a row of pixels a label."""
    random = np.random.default_rng(0)
    weight = random.normal(0, 25, (NOISE_DIM, HEIGHT * WIDTH)).astype(np.float32)
    table = random.uniform(20, 235, (CLASSES, HEIGHT * WIDTH)).astype(np.float32)
    return weight, table


def _golden() -> Golden:
    weight, table = _weights()
    noise = standard_normal(GOLDEN_SEED, 0, len(GOLDEN_LABELS), NOISE_DIM)
    pixels = np.clip(noise @ weight + table[list(GOLDEN_LABELS)], 0, 255)
    return Golden(GOLDEN_SEED, GOLDEN_LABELS, pixels.astype(np.uint8).tobytes())


@pytest.fixture(scope="session")
def info() -> ModelInfo:
    """What the tiny model says of itself."""
    return ModelInfo(
        class_names=tuple("0123456789"),
        noise_dim=NOISE_DIM,
        height=HEIGHT,
        width=WIDTH,
        dataset="made up",
        precision="fp32",
        weights_sha256="0" * 64,
        recipe={"name": "tiny", "noise_dim": NOISE_DIM},
        training={"epochs": 1, "seconds": 0.5},
        versions={"cgan-export": "0.1.0"},
        quality={"label_accuracy": 0.5},
        verification={"largest_difference": 0},
        golden=_golden(),
    )


class ModelMaker(Protocol):
    """Writes the tiny model, or one that differs from it in what is given."""

    def __call__(
        self,
        path: Path,
        metadata: Mapping[str, str] | None = None,
        *,
        names: Mapping[str, str] | None = None,
        types: Mapping[str, int] | None = None,
        shapes: Mapping[str, list[int | str]] | None = None,
        extra_input: bool = False,
    ) -> Path: ...


@pytest.fixture(scope="session")
def make_model(info: ModelInfo) -> ModelMaker:
    def make(
        path: Path,
        metadata: Mapping[str, str] | None = None,
        *,
        names: Mapping[str, str] | None = None,
        types: Mapping[str, int] | None = None,
        shapes: Mapping[str, list[int | str]] | None = None,
        extra_input: bool = False,
    ) -> Path:
        name = {each: each for each in (NOISE, LABEL, IMAGE)} | dict(names or {})
        elements = {
            NOISE: TensorProto.FLOAT,
            LABEL: TensorProto.INT64,
            IMAGE: TensorProto.UINT8,
        } | dict(types or {})
        inputs, outputs = tensors(NOISE_DIM, HEIGHT, WIDTH)
        shape: dict[str, Any] = {each.name: list(each.shape) for each in (*inputs, *outputs)}
        shape |= dict(shapes or {})
        weight, table = _weights()
        sizes = np.array([-1, *shape[IMAGE][1:]], np.int64)
        nodes = [
            helper.make_node("Cast", [name[NOISE]], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("Gemm", ["numbers", "weight"], ["pixels"]),
            helper.make_node("Gather", ["table", name[LABEL]], ["row"]),
            helper.make_node("Add", ["pixels", "row"], ["sum"]),
            helper.make_node("Clip", ["sum", "black", "white"], ["clipped"]),
            helper.make_node("Reshape", ["clipped", "sizes"], ["grey"]),
            helper.make_node("Cast", ["grey"], [name[IMAGE]], to=elements[IMAGE]),
        ]
        constants = {
            "weight": weight,
            "table": table,
            "black": np.float32(0),
            "white": np.float32(255),
            "sizes": sizes,
        }

        def described(tensor: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name[tensor], elements[tensor], shape[tensor])

        more = [helper.make_tensor_value_info("more", TensorProto.FLOAT, [BATCH])] * extra_input
        graph = helper.make_graph(
            nodes,
            "tiny",
            [described(NOISE), described(LABEL), *more],
            [described(IMAGE)],
            [numpy_helper.from_array(np.asarray(each), key) for key, each in constants.items()],
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[opset])
        helper.set_model_props(model, dict(info.to_metadata() if metadata is None else metadata))
        path.write_bytes(add_checksum(model.SerializeToString()))
        return path

    return make


@pytest.fixture(scope="session")
def tiny_model(make_model: ModelMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of ten classes, noise_dim 6 and images of 12 x 9. Not to be written to."""
    return make_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def bad_models(
    make_model: ModelMaker,
    tiny_model: Path,
    info: ModelInfo,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Path]:
    """Paths that no generator can be made of, by what is wrong with them."""
    folder = tmp_path_factory.mktemp("bad")
    content, metadata = tiny_model.read_bytes(), info.to_metadata()
    paths = {
        name: folder / f"{name}.onnx"
        for name in ("missing", "empty", "truncated", "directory", "text", "zeros", "damaged")
    }
    paths["empty"].touch()
    paths["truncated"].write_bytes(content[: len(content) // 2])
    paths["directory"].mkdir()
    paths["text"].write_text("no model at all\n")
    paths["zeros"].write_bytes(bytes(1000))
    paths["damaged"].write_bytes(content.replace(b"Gather", b"Gotter"))
    newer = metadata | {CONTRACT_KEY: "2"}
    without_noise_dim = metadata.copy()
    del without_noise_dim[f"{PREFIX}noise_dim"]
    return paths | {
        "below-a-file": paths["text"] / "model.onnx",
        "foreign": make_model(folder / "foreign.onnx", {}),
        "newer": make_model(folder / "newer.onnx", newer),
        "incomplete": make_model(folder / "incomplete.onnx", without_noise_dim),
        "renamed": make_model(folder / "renamed.onnx", names={IMAGE: "picture"}),
        "retyped": make_model(folder / "retyped.onnx", types={LABEL: TensorProto.INT32}),
        "float": make_model(folder / "float.onnx", types={IMAGE: TensorProto.FLOAT}),
        "static": make_model(
            folder / "static.onnx",
            shapes={NOISE: [1, NOISE_DIM], LABEL: [1], IMAGE: [1, 1, HEIGHT, WIDTH]},
        ),
        "three-dimensional": make_model(
            folder / "three-dimensional.onnx", shapes={IMAGE: [BATCH, HEIGHT, WIDTH]}
        ),
        "extra-input": make_model(folder / "extra-input.onnx", extra_input=True),
    }


@pytest.fixture(scope="session")
def generator(tiny_model: Path) -> ImageGenerator:
    return ImageGenerator(tiny_model, "cpu", threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where cgan_run works: empty at first."""
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
