"""The runtime's screen knows every graph that is exported, and the shapes in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

Exported = dict[tuple[str, str], Path]
Shapes = Callable[[bytes], dict[str, tuple[int, ...]]]


@pytest.mark.parametrize("kind", ["perceptron", "convolutional"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_shapes_are_those_that_onnx_infers(
    exported: Exported, kind: str, precision: str, shapes_of: Shapes
) -> None:
    shapes_of(exported[kind, precision].read_bytes())
