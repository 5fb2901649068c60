"""Random nodes with plausible attributes, most of which fit their inputs."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from operator_cases import Case, int64, weights

from cgan_runtime.model_file.contract import LABEL, NOISE

# The shape of each tensor for a batch of one image.
SHAPES = {
    "map": (1, 4, 4, 3),
    "tokens": (1, 4, 12),
    "rows": (4, 1, 4, 3),
    "merged": (16, 3),
    "columns": (48, 1),
    NOISE: (1, 6),
    "flat": (1, 48),
    "rank 5": (1, 1, 4, 4, 3),
}
ANY = [*SHAPES]
Maker = Callable[[Random], Case]


def _tensor(random: Random) -> tuple[str, tuple[int, ...]]:
    return random.choice(list(SHAPES.items()))


def _axis(random: Random, rank: int) -> int:
    return random.randrange(-rank, rank)


def _axes(random: Random, rank: int) -> list[int]:
    return random.sample(range(rank), random.randint(1, rank))


def _sizes(random: Random, sizes: list[int]) -> Any:
    """Return constant sizes, or the name of a shape tensor that contains the batch size."""
    return random.choice((int64(*sizes), "map sizes", "resize sizes", "batch size"))


def along_axis(random: Random) -> Case:
    name, shape = _tensor(random)
    operator = random.choice(("Softmax", "LogSoftmax", "ArgMax", "Flatten", "Split"))
    attributes = {"axis": _axis(random, len(shape))}
    if operator == "Split":
        count = random.choice((1, 2, 3, 4))
        return Case(operator, [name], attributes | {"num_outputs": count}, count)
    return Case(operator, [name], attributes)


def reduce(random: Random) -> Case:
    name, shape = _tensor(random)
    operator = random.choice(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2"))
    axes = _axes(random, len(shape))
    return Case(operator, [name, int64(*axes)], {"keepdims": random.randrange(2)})


def cumulate(random: Random) -> Case:
    name, shape = _tensor(random)
    return Case("CumSum", [name, np.int64(_axis(random, len(shape)))], {})


def normalize(random: Random) -> Case:
    name, shape = _tensor(random)
    axis = _axis(random, len(shape))
    weight = weights(*shape[axis:] if axis else shape)
    return Case("LayerNormalization", [name, weight], {"axis": axis})


def binary(random: Random) -> Case:
    operator = random.choice(("Add", "Mul", "Sub", "Max", "Greater", "PRelu"))
    name, shape = _tensor(random)
    other: Any = random.choice(ANY)
    if random.random() < 0.5:
        part = shape[random.randrange(len(shape)) :]
        other = weights(*(random.choice((size, size, 1, 2)) for size in part))
    inputs = [name, other]
    random.shuffle(inputs)
    return Case(operator, inputs, {})


def where(random: Random) -> Case:
    condition: Any = random.choice(("flags", np.array([True, False, True]), np.array(True)))
    return Case("Where", [condition, random.choice(ANY), random.choice(ANY)], {})


def multiply(random: Random) -> Case:
    name, shape = _tensor(random)
    other: Any = random.choice(ANY)
    if random.random() < 0.6:
        lead = [random.choice((1, shape[0])) for _ in range(random.randrange(3))]
        other = weights(*lead, shape[-1], random.choice((1, 2, 5)))
        if random.random() < 0.5:
            return Case("MatMul", [np.swapaxes(other, -1, -2), random.choice(ANY)], {})
    return Case("MatMul", [name, other], {})


def gemm(random: Random) -> Case:
    left = random.choice(["columns", "flat", "merged", NOISE, weights(5, 48), weights(48, 5)])
    right = random.choice([weights(48, 2), weights(2, 48), weights(3, 2), weights(6, 6), "columns"])
    attributes = {"transA": random.randrange(2), "transB": random.randrange(2)}
    return Case("Gemm", [left, right], attributes)


def einsum(random: Random) -> Case:
    first = random.choice(("bchw", "cbhw", "b...w"))
    second, other = random.choice(
        (
            ("w", weights(3)),
            ("hk", weights(4, 5)),
            ("hw", weights(4, 3)),
            (first, "map"),
            ("bi", "flat"),
        )
    )
    names = sorted({*first, *second} - {"."})
    result = "".join(random.sample(names, random.randint(1, len(names))))
    result = "..." * ("." in first) + result + "b" * ("b" not in result and random.random() < 0.8)
    equation = f"{first},{second}->{result}"
    return Case("Einsum", ["rows" if first[0] == "c" else "map", other], {"equation": equation})


def _window(random: Random, axes: int) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if random.random() < 0.6:
        attributes["pads"] = [random.randrange(3) for _ in range(2 * axes)]
    for name in ("strides", "dilations"):
        if random.random() < 0.5:
            attributes[name] = [random.choice((1, 1, 2, 3)) for _ in range(axes)]
    return attributes


def convolve(random: Random) -> Case:
    name, axes = random.choice((("map", 2), ("tokens", 1), ("rows", 2)))
    group = random.choice((1, 2, 4))
    kernel = [random.choice((1, 2, 3)) for _ in range(axes)]
    attributes = _window(random, axes) | {"group": group}
    if random.random() < 0.5:
        return Case("Conv", [name, weights(4, 4 // group, *kernel)], attributes)
    if random.random() < 0.4:
        attributes["output_padding"] = [random.randrange(2) for _ in range(axes)]
    return Case("ConvTranspose", [name, weights(4, random.choice((1, 3)), *kernel)], attributes)


def pool(random: Random) -> Case:
    name, axes = random.choice((("map", 2), ("tokens", 1), ("rows", 2)))
    operator = random.choice(("MaxPool", "AveragePool"))
    kernel = [random.choice((1, 2, 3)) for _ in range(axes)]
    attributes = _window(random, axes) | {"kernel_shape": kernel, "ceil_mode": random.randrange(2)}
    return Case(operator, [name], attributes)


def resize(random: Random) -> Case:
    name, shape = random.choice(
        [("map", SHAPES["map"]), ("tokens", SHAPES["tokens"]), ("rows", SHAPES["rows"])]
    )
    attributes: dict[str, Any] = {
        "mode": random.choice(("nearest", "linear", "cubic")),
        "coordinate_transformation_mode": random.choice(
            ("half_pixel", "asymmetric", "align_corners")
        ),
    }
    scales = [random.choice((1, 1, 2, 1 / 3, 1.7, 2.5)) for _ in shape]
    if random.random() < 0.7:
        scales[:2] = [1, 1]
    sizes = [max(1, int(size * scale)) for size, scale in zip(shape, scales, strict=True)]
    if random.random() < 0.6:
        return Case("Resize", [name, "", np.array(scales, np.float32)], attributes)
    return Case("Resize", [name, "", "", _sizes(random, sizes)], attributes)


def reshape(random: Random) -> Case:
    name, shape = _tensor(random)
    target = random.choice(
        (
            [-1, 4, 12],
            [4, -1, 12],
            [2, 2, -1, 3],
            [-1, 3],
            [16, 3, -1],
            [0, -1],
            [0, 0, -1],
            [-1],
            [48],
        )
    )
    if random.random() < 0.3:
        target = [*random.sample(shape, len(shape)), 1]
    return Case("Reshape", [name, _sizes(random, target)], {"allowzero": random.choice((0, 0, 1))})


def expand(random: Random) -> Case:
    name: Any = random.choice([*ANY, weights(1, 4, 1, 3), weights(4, 1, 1), weights(1)])
    operator = random.choice(("Expand", "Tile"))
    return Case(operator, [name, _sizes(random, random.choices((1, 1, 2, 4), k=4))], {})


def select(random: Random) -> Case:
    name: Any = random.choice([*ANY, weights(10, 3)])
    rank = len(SHAPES.get(name, (1, 1))) if isinstance(name, str) else 2
    axis = _axis(random, rank)
    indices: Any = random.choice([LABEL, "column", int64(0), np.int64(0), int64([0, 1], [1, 0])])
    operator = random.choice(("Gather", "Gather", "GatherElements", "GatherND"))
    return Case(operator, [name, indices], {} if operator == "GatherND" else {"axis": axis})


def slice_(random: Random) -> Case:
    name, shape = _tensor(random)
    axes = _axes(random, len(shape))
    bounds = (0, 1, -1, 2, -2, 3, 99, -99, 2**63 - 1, -(2**63))
    starts, ends = ([random.choice(bounds) for _ in axes] for _ in range(2))
    steps = [random.choice((1, 1, 2, -1, -3)) for _ in axes]
    return Case("Slice", [name, int64(*starts), int64(*ends), int64(*axes), int64(*steps)], {})


def pad(random: Random) -> Case:
    name, shape = _tensor(random)
    pads = [random.choice((0, 0, 0, 1, 2, 3, -1)) for _ in range(2 * len(shape))]
    mode = random.choice(("constant", "edge", "reflect", "wrap"))
    return Case("Pad", [name, int64(*pads)], {"mode": mode})


def arrange(random: Random) -> Case:
    name, shape = _tensor(random)
    operator = random.choice(("Transpose", "Unsqueeze", "Squeeze", "Trilu", "DepthToSpace"))
    order = random.sample(range(len(shape)), len(shape))
    if operator == "Transpose":
        return Case(operator, [name], {"perm": order})
    if operator == "DepthToSpace":
        return Case(operator, [name], {"blocksize": random.choice((1, 2))})
    return Case(operator, [name] if operator == "Trilu" else [name, int64(*order[:2])], {})


def join(random: Random) -> Case:
    name, shape = _tensor(random)
    other: Any = random.choice((name, name, random.choice(ANY), weights(*shape)))
    return Case("Concat", [name, other], {"axis": _axis(random, len(shape))})


def fold(random: Random) -> Case:
    positions = random.choice(((3, 4), (2, 6), (12, 1)))
    block = random.choice(((2, 2), (1, 2), (4, 1), (1, 1)))
    attributes = _window(random, 2)
    pads, strides, dilations = (
        attributes.get(name, default)
        for name, default in (("pads", [0] * 4), ("strides", [1, 1]), ("dilations", [1, 1]))
    )
    image = [
        strides[i] * (positions[i] - 1) + dilations[i] * (block[i] - 1) + 1 - pads[i] - pads[i + 2]
        for i in (0, 1)
    ]
    image[0] += random.choice((0, 0, 0, 1, -1))
    return Case("Col2Im", ["tokens", int64(*image), int64(*block)], attributes)


def count(random: Random) -> Case:
    """Compute with shapes."""
    operator = random.choice(
        ("Add", "Sub", "Mul", "Div", "Concat", "Gather", "Slice", "ReduceProd")
    )
    number: Any = random.choice(
        (int64(2), np.int64(3), int64(1, 2, 3, 4), "map sizes", "batch size")
    )
    if operator == "Slice":
        bounds = (0, 1, -1, 2, -2, 99, -99)
        return Case(operator, ["map sizes", *(int64(random.choice(bounds)) for _ in range(2))], {})
    if operator == "Gather":
        return Case(operator, ["map sizes", int64(random.randrange(-4, 4))], {})
    if operator == "ReduceProd":
        return Case(operator, ["map sizes"], {"keepdims": random.randrange(2)})
    inputs = ["map sizes", number]
    return Case(operator, inputs, {"axis": 0} if operator == "Concat" else {})


MAKERS: list[Maker] = [
    *(along_axis, reduce, cumulate, normalize, binary, where, multiply, gemm, einsum, convolve),
    *(pool, resize, reshape, expand, select, slice_, pad, arrange, join, fold, count),
]
