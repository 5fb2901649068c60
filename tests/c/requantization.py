"""Compare the C code's requantization with ONNX Runtime's for every reachable sum of a model.

    python tests/c/requantization.py                   # the shipped model, a minute or more
    python tests/c/requantization.py --model my.onnx

The sums of a layer's output lie between 255 times the sum of its negative weights and 255 times the
sum of its positive weights, plus the bias. ONNX Runtime requantizes exactly these sums: they are
the biases of a QLinearConv whose inputs are zero.
"""

import argparse
import ctypes
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from cgan_export.targets.c.network import Layer, read_network
from cgan_export.targets.c.source import encoded_scales, write_c
from cgan_runtime.model_file.reading import SHIPPED_MODEL

CHUNK = 2**20  # sums that are compared at a time
HARNESS = """
#include "net.c"
void requantize_all(int32_t first, int32_t count, uint32_t scale, int32_t zero, uint8_t *out);
void requantize_all(int32_t first, int32_t count, uint32_t scale, int32_t zero, uint8_t *out)
{
    int32_t i;
    for (i = 0; i < count; i++) {
        out[i] = requantize(first + i, scale, zero);
    }
}
"""
Requantize = Callable[[int, int, int, int], NDArray[np.uint8]]


def compile_requantization(model: Path, folder: Path) -> Requantize:
    """Compile the C code; return its requantize(scale, zero point, first sum, count)."""
    net = folder / "net.onnx"
    net.write_bytes(model.read_bytes())
    write_c(net, folder)
    (folder / "harness.c").write_text(HARNESS)
    command = ["gcc", "-std=c99", "-O2", "-shared", "-fPIC", "-o", "harness.so", "harness.c"]
    subprocess.run(command, cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "harness.so"))

    def requantize(scale: int, zero: int, first: int, count: int) -> NDArray[np.uint8]:
        values = np.empty(count, np.uint8)
        pointer = values.ctypes.data_as(ctypes.c_void_p)
        library.requantize_all(first, count, ctypes.c_uint32(scale), zero, pointer)
        return values

    return requantize


def onnxruntime_requantization() -> Callable[
    [NDArray[np.int32], np.float32, int], NDArray[np.uint8]
]:
    """Return requantize(sums, scale, zero point) as ONNX Runtime computes it."""
    names = ["x", "unit_scale", "zero_x", "w", "scale", "zero_w", "unit_scale", "zero", "sums"]
    types: list[int] = [TensorProto.UINT8, TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8]
    types += [TensorProto.FLOAT, TensorProto.INT8, 0, TensorProto.UINT8, TensorProto.INT32]
    shapes: list[list[int | str]] = [
        [1, 1, 1, 1],
        [],
        [],
        ["n", 1, 1, 1],
        ["n"],
        ["n"],
        [],
        [],
        ["n"],
    ]
    inputs = {
        name: helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in zip(names, types, shapes, strict=True)
        if kind
    }
    output = helper.make_tensor_value_info("bytes", TensorProto.UINT8, None)
    node = helper.make_node("QLinearConv", names, ["bytes"])
    graph = helper.make_graph([node], "requantization", list(inputs.values()), [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )

    def requantize(sums: NDArray[np.int32], scale: np.float32, zero: int) -> NDArray[np.uint8]:
        feeds = {
            "x": np.zeros((1, 1, 1, 1), np.uint8),
            "unit_scale": np.float32(1),
            "zero_x": np.uint8(0),
            "w": np.zeros((len(sums), 1, 1, 1), np.int8),
            "scale": np.full(len(sums), scale),
            "zero_w": np.zeros(len(sums), np.int8),
            "zero": np.uint8(zero),
            "sums": sums,
        }
        values: NDArray[np.uint8] = session.run(None, {k: np.asarray(v) for k, v in feeds.items()})[
            0
        ]
        return values.ravel()

    return requantize


def reachable_sums(layer: Layer, output: int) -> tuple[int, int]:
    """Return the minimum and maximum of the sums of an output."""
    weights, bias = layer.weight[..., output].astype(int), int(layer.bias[output])
    return 255 * int(weights.clip(max=0).sum()) + bias, 255 * int(weights.clip(0).sum()) + bias


def compare(model: Path, folder: Path, step: int = 1) -> Iterator[tuple[int, int]]:
    """Yield the number of sums and of differences, for every step-th output of every layer."""
    c_code, onnx_runtime = compile_requantization(model, folder), onnxruntime_requantization()
    for layer in read_network(model.read_bytes()).layers:
        scales = encoded_scales(layer.scale)
        for output in range(0, len(layer.bias), step):
            low, high = reachable_sums(layer, output)
            for first in range(low, high + 1, CHUNK):
                count = min(CHUNK, high + 1 - first)
                sums = np.arange(first, first + count, dtype=np.int32)
                expected = onnx_runtime(sums, layer.scale[output], layer.zero_point)
                actual = c_code(int(scales[output]), layer.zero_point, first, count)
                yield count, int((actual != expected).sum())


def main() -> None:
    """Compare all sums; exit with 1 if a byte differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    model = parser.parse_args().model
    with tempfile.TemporaryDirectory() as folder:
        counts = np.array(list(compare(model, Path(folder)))).sum(0)
    print(f"{counts[1]} of {counts[0]:,} sums differ")
    raise SystemExit(bool(counts[1]))


if __name__ == "__main__":
    main()
