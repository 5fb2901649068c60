"""The files open, and draw the same, in other runtimes than the one that made them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import IMAGE, LABEL, NOISE, OLDEST_ONNXRUNTIME
from cgan_runtime.noise import standard_normal

Exported = dict[tuple[str, str], Path]
EVERY = pytest.mark.parametrize("kind", ["perceptron", "convolutional"])
PRECISION = pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
IMAGES, SEED = 40, 5


def feeds(generator: ImageGenerator) -> dict[str, NDArray[Any]]:
    info = generator.info
    return {
        NOISE: standard_normal(SEED, 0, IMAGES, info.noise_dim),
        LABEL: np.arange(IMAGES) % info.classes,
    }


def drawn(generator: ImageGenerator) -> NDArray[np.int64]:
    labels = [index % generator.info.classes for index in range(IMAGES)]
    return generator.generate(labels, seed=SEED).astype(np.int64)


@EVERY
@PRECISION
def test_onnx_itself_draws_the_same(exported: Exported, kind: str, precision: str) -> None:
    path = exported[kind, precision]
    with ImageGenerator(path) as generator:
        evaluated = ReferenceEvaluator(onnx.load(path)).run(None, feeds(generator))
        assert isinstance(evaluated, list)
        _require_close(np.asarray(evaluated[0]), drawn(generator), precision)


@EVERY
@PRECISION
def test_openvino_draws_the_same(exported: Exported, kind: str, precision: str) -> None:
    path = exported[kind, precision]
    core = openvino.Core()
    hint = {"INFERENCE_PRECISION_HINT": "f32"}  # its own choice is bfloat16 where there is AMX
    compiled = core.compile_model(core.read_model(path), "CPU", hint)
    with ImageGenerator(path) as generator:
        result = compiled(feeds(generator))[IMAGE]
        _require_close(result, drawn(generator), precision)


@EVERY
def test_the_oldest_onnxruntime_draws_the_same(
    exported: Exported,
    tmp_path: Path,
    runtime_environment: Callable[[str], Path],
    kind: str,
) -> None:
    scripts = runtime_environment(f"{OLDEST_ONNXRUNTIME}.0")
    code = (
        "import json, sys, numpy, onnxruntime\n"
        "from cgan_runtime import ImageGenerator\n"
        "for source, target in json.loads(sys.argv[1]).items():\n"
        "    generator = ImageGenerator(source)\n"
        f"    labels = [i % generator.info.classes for i in range({IMAGES})]\n"
        f"    images = generator.generate(labels, seed={SEED})\n"
        f"    alone = generator.generate(labels[3], seed={SEED}, start=3)  # another way\n"
        "    assert abs(alone[0].astype(int) - images[3]).max() <= 1\n"
        "    numpy.save(target, images)\n"
        "print(onnxruntime.__version__)\n"
    )
    files = {
        str(path): str(tmp_path / f"{precision}.npy")
        for (its, precision), path in exported.items()
        if its == kind
    }
    done = subprocess.run(
        [scripts / "python", "-c", code, json.dumps(files)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(OLDEST_ONNXRUNTIME)
    assert len(files) == 3
    for source, target in files.items():
        with ImageGenerator(source) as generator:
            old, new = np.load(target), drawn(generator)
            if generator.info.precision == "int8":
                np.testing.assert_array_equal(old, new)
            _require_close(old, new, generator.info.precision)


def _require_close(found: NDArray[Any], wanted: NDArray[np.int64], precision: str) -> None:
    """In int8, what is float elsewhere may round to the step beside, and so on."""
    assert found.dtype == np.uint8
    assert found.shape == wanted.shape
    assert wanted.std() > 10
    difference = np.abs(found.astype(np.int64) - wanted)
    if precision == "int8":
        assert difference.max() <= 8
        assert difference.mean() < 0.1
    else:
        assert difference.max() <= 1
