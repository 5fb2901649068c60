"""Exported files generate the same images in other runtimes, and pass graph validation."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from model_graphs import infer_and_compare_shapes
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import IMAGE, LABEL, MIN_ONNXRUNTIME, NOISE
from cgan_runtime.noise import standard_normal

Exported = dict[tuple[str, str], Path]
Feeds = dict[str, NDArray[Any]]
KINDS = pytest.mark.parametrize("kind", ["perceptron", "convolutional"])
PRECISIONS = pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
IMAGES, SEED = 40, 5


def run_reference(path: Path, feeds: Feeds) -> NDArray[Any]:
    outputs = ReferenceEvaluator(onnx.load(path)).run(None, feeds)
    assert isinstance(outputs, list)
    return np.asarray(outputs[0])


def run_openvino(path: Path, feeds: Feeds) -> NDArray[Any]:
    core = openvino.Core()
    hint = {"INFERENCE_PRECISION_HINT": "f32"}  # the default is bfloat16 on processors with AMX
    result: NDArray[Any] = core.compile_model(core.read_model(path), "CPU", hint)(feeds)[IMAGE]
    return result


@KINDS
@PRECISIONS
@pytest.mark.parametrize("run", [run_reference, run_openvino])
def test_images_are_those_of_onnxruntime(
    exported: Exported, kind: str, precision: str, run: Callable[[Path, Feeds], NDArray[Any]]
) -> None:
    path = exported[kind, precision]
    with ImageGenerator(path) as generator:
        info = generator.info
        noise = standard_normal(SEED, 0, IMAGES, info.noise_dim)
        images = run(path, {NOISE: noise, LABEL: np.arange(IMAGES) % info.classes})
        require_close(images, generate(generator), precision)


@KINDS
def test_the_oldest_supported_onnxruntime_generates_the_same_images(
    exported: Exported, tmp_path: Path, runtime_environment: Callable[[str], Path], kind: str
) -> None:
    scripts = runtime_environment(f"{MIN_ONNXRUNTIME}.0")
    code = (
        "import json, sys, numpy, onnxruntime\n"
        "from cgan_runtime import ImageGenerator\n"
        "for source, target in json.loads(sys.argv[1]).items():\n"
        "    generator = ImageGenerator(source)\n"
        f"    labels = [i % generator.info.classes for i in range({IMAGES})]\n"
        f"    images = generator.generate(labels, seed={SEED})\n"
        f"    alone = generator.generate(labels[3], seed={SEED}, start=3)  # the fast path\n"
        "    assert abs(alone[0].astype(int) - images[3]).max() <= 1\n"
        "    numpy.save(target, images)\n"
        "print(onnxruntime.__version__)\n"
    )
    files = {
        str(path): str(tmp_path / f"{precision}.npy")
        for (file_kind, precision), path in exported.items()
        if file_kind == kind
    }
    done = subprocess.run(
        [scripts / "python", "-c", code, json.dumps(files)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(MIN_ONNXRUNTIME)
    assert len(files) == 3
    for source, target in files.items():
        with ImageGenerator(source) as generator:
            old, new = np.load(target), generate(generator)
            if generator.info.precision == "int8":
                np.testing.assert_array_equal(old, new)
            require_close(old, new, generator.info.precision)


@KINDS
@PRECISIONS
def test_graph_validation_infers_the_shapes_that_onnx_infers(
    exported: Exported, kind: str, precision: str
) -> None:
    infer_and_compare_shapes(exported[kind, precision].read_bytes())


def generate(generator: ImageGenerator) -> NDArray[np.int64]:
    labels = [index % generator.info.classes for index in range(IMAGES)]
    return generator.generate(labels, seed=SEED).astype(np.int64)


def require_close(images: NDArray[Any], expected: NDArray[np.int64], precision: str) -> None:
    """Compare images. int8 files compute in floats elsewhere, so a value may round differently."""
    assert images.dtype == np.uint8
    assert images.shape == expected.shape
    assert expected.std() > 10
    errors = np.abs(images.astype(np.int64) - expected)
    if precision == "int8":
        assert errors.max() <= 8
        assert errors.mean() < 0.1
    else:
        assert errors.max() <= 1
