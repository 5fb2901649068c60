"""Roofline: how close does each engine come to the limits of one core?

    make bench BENCH_FLAGS=roofline      (or: python benchmarks/roofline.py [--quick])

Measures the core's memory bandwidth by working-set size, and its peak speed of matrix
multiplication in float32, bf16 and int8. At a given batch size, a network needs at least the time
of its multiplications at that peak, and at least the time to read its weights at that bandwidth
(the roofline model of Williams, Waterman and Patterson, 2009). The engines' own times come from the
last run of inference.py; `make bench` without BENCH_FLAGS runs it first.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
import harness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BENCHMARK = "roofline"
# Bytes: from less than any core's first-level cache to more than most last-level caches.
SIZES = [2**power for power in range(14, 28)]
QUICK_SIZES = SIZES[::4]
ROUNDS, QUICK_ROUNDS = 9, 3
SIDE = 1024  # rows and columns of the matrices that measure the peak speed
MIN_BYTES_READ = 2**22  # bytes that a call reads; a small working set is read several times
WEIGHT_BYTES = {"float32": 4, "bf16": 2, "int8": 1}

INTRODUCTION = """\
Everything is measured on one thread of one core. The roof of a network at a batch size is a lower
bound on its time. It is the longer of two times: the multiplications at the peak speed of 1,024 x
1,024 matrix multiplication, and reading the weights once at the bandwidth measured for a working
set of their size. The share of the roof is the roof divided by the measured time, which also
contains noise generation, label lookup, conversion to bytes and call overhead."""


@click.command()
@click.option("--quick", is_flag=True, help="Use fewer sizes and rounds; write no page.")
@click.option("--worker", is_flag=True, hidden=True)
def main(quick: bool, worker: bool) -> None:
    """Measure, record and write the page."""
    if worker:
        click.echo(json.dumps(measure_core(quick=quick)))
        return
    inference = harness.last_inference(quick=quick)
    with harness.pinned_cpus(1):
        done = subprocess.run(
            [sys.executable, __file__, "--worker", *(["--quick"] if quick else [])],
            env=harness.environment_with_threads(1),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    core = json.loads(done.stdout.splitlines()[-1])
    rows = core | {"engines": roof_shares(core, inference["rows"])}
    record = harness.append_record(BENCHMARK, rows, quick=quick, missing=inference["missing"])
    click.echo(harness.publish(BENCHMARK, record, page(rows), plot(rows)))


def measure_core(*, quick: bool) -> dict[str, Any]:
    """Return bytes per second by working set, and operations per second by number format."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    sizes = QUICK_SIZES if quick else SIZES
    reads = {str(size): memory_read(size) for size in sizes}
    timings = harness.time_interleaved(reads, rounds, harness.MEASUREMENT_SECONDS)
    speeds = (size * reads_per_call(size) / timings[str(size)].seconds(threads=1) for size in sizes)
    bandwidth = [
        {"bytes": size, "bytes_per_second": float(f"{speed:.4g}")}
        for size, speed in zip(sizes, speeds, strict=True)
    ]
    peaks: dict[str, list[tuple[float, str]]] = {}
    calls = matrix_multiplications()
    timings = harness.time_interleaved(calls, rounds, harness.MEASUREMENT_SECONDS)
    for name, timing in timings.items():
        kind, library = name.split(", ")
        peaks.setdefault(kind, []).append((2 * SIDE**3 / timing.seconds(threads=1), library))
    best = {kind: max(speeds) for kind, speeds in peaks.items()}
    return {
        "bandwidth": bandwidth,
        "peaks": [
            {"kind": kind, "operations_per_second": float(f"{speed:.4g}"), "library": library}
            for kind, (speed, library) in best.items()
        ],
    }


def reads_per_call(size: int) -> int:
    """Return how many times a call of memory_read() reads its working set."""
    return max(1, MIN_BYTES_READ // size)


def memory_read(size: int) -> Callable[[], object]:
    """Return a function that reads `size` bytes of memory reads_per_call(size) times."""
    import numpy as np

    count = size // 8
    one, other = np.ones(count, np.float32), np.ones((count, 1), np.float32)
    repeated = np.broadcast_to(one, (reads_per_call(size), 1, count))  # the same memory each time
    out = np.empty((reads_per_call(size), 1, 1), np.float32)
    return lambda: np.matmul(repeated, other, out=out)


def matrix_multiplications() -> dict[str, Callable[[], object]]:
    """Return functions that multiply matrices, by number format and library: "bf16, torch"."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((SIDE, SIDE), dtype=np.float32) for _ in range(2))
    tensor_a, tensor_b = torch.from_numpy(a), torch.from_numpy(b)
    bf16_a, bf16_b = tensor_a.bfloat16(), tensor_b.bfloat16()
    uint8_a = random.integers(0, 128, (SIDE, SIDE)).astype(np.uint8)
    int8_b = random.integers(-64, 64, (SIDE, SIDE)).astype(np.int8)
    return {
        "float32, numpy": lambda: a @ b,
        "float32, torch": lambda: torch.mm(tensor_a, tensor_b),
        "float32, onnxruntime": onnxruntime_multiplication("MatMul", a, b, np.float32),
        "bf16, torch": lambda: torch.mm(bf16_a, bf16_b),
        "int8, onnxruntime": onnxruntime_multiplication("MatMulInteger", uint8_a, int8_b, np.int32),
    }


def onnxruntime_multiplication(operator: str, a: Any, b: Any, result: Any) -> Callable[[], object]:
    """Return a function that multiplies a with the constant b in onnxruntime.

    Args:
        operator: the ONNX operator.
        a: the left matrix.
        b: the right matrix, an initializer of the graph.
        result: dtype of the result.
    """
    import numpy as np
    import onnxruntime
    from onnx import helper, numpy_helper

    kinds = [helper.np_dtype_to_tensor_dtype(np.dtype(each)) for each in (a.dtype, result)]
    inputs, outputs = (
        [helper.make_tensor_value_info(name, kind, list(a.shape))]
        for name, kind in zip("ac", kinds, strict=True)
    )
    node = helper.make_node(operator, ["a", "b"], ["c"])
    constants = [numpy_helper.from_array(b, "b")]
    graph = helper.make_graph([node], "multiplication", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"a": a})


def roof_shares(core: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the roof of each engine and batch size on one thread, and the share it reaches."""
    from networks import load_networks

    multiplications = {name: each.multiplications for name, each in load_networks().items()}
    peaks = {each["kind"]: each["operations_per_second"] for each in core["peaks"]}
    shares = []
    for row in rows:
        if row["threads"] != 1:
            continue
        kind, count = number_format(row["engine"]), multiplications[row["network"]]
        operations, size = 2 * count * row["batch"], count * WEIGHT_BYTES[kind]
        compute_seconds = operations / peaks[kind]
        read_seconds = size / bandwidth_for(core["bandwidth"], size)
        roof_us = max(compute_seconds, read_seconds) * 1e6
        shares.append(
            {
                "network": row["network"],
                "engine": row["engine"],
                "kind": kind,
                "batch": row["batch"],
                "operations_per_second": float(f"{operations / row['cpu_us'] * 1e6:.4g}"),
                "roof_us": float(f"{roof_us:.4g}"),
                "limit": "peak" if compute_seconds > read_seconds else "bandwidth",
                "share": float(f"{roof_us / row['cpu_us']:.3g}"),
            }
        )
    return shares


def number_format(engine: str) -> str:
    """Return the number format in which an engine multiplies on this machine."""
    if "int8" in engine or engine.startswith("generated C"):
        return "int8"
    has_bf16 = {"bf16", "AMX"} & set(harness.machine()["features"])
    return "bf16" if engine == "OpenVINO, default precision" and has_bf16 else "float32"


def bandwidth_for(rows: list[dict[str, Any]], size: int) -> float:
    """Return the bytes per second of the measured working set with the closest size."""
    nearest = min(rows, key=lambda row: abs(row["bytes"] / size - size / row["bytes"]))
    return float(nearest["bytes_per_second"])


def page(rows: dict[str, Any]) -> str:
    """Return the page's Markdown."""
    peaks = [
        [each["kind"], f"{each['operations_per_second'] / 1e9:,.0f}", each["library"]]
        for each in rows["peaks"]
    ]
    bandwidth = [
        [f"{each['bytes'] / 1024:,.0f}", f"{each['bytes_per_second'] / 1e9:,.0f}"]
        for each in rows["bandwidth"]
    ]
    text = [
        "# Roofline",
        INTRODUCTION,
        "## The core",
        harness.table(["number format", "billion operations/s", "fastest library"], peaks),
        harness.table(["working set, KB", "GB/s"], bandwidth),
    ]
    for network in dict.fromkeys(each["network"] for each in rows["engines"]):
        selected = [each for each in rows["engines"] if each["network"] == network]
        batches = sorted({each["batch"] for each in selected})
        cells = {(each["engine"], each["batch"]): each for each in selected}
        lines = [
            [
                f"{engine} ({cells[engine, batches[0]]['kind']})",
                *(
                    f"{cells[engine, batch]['share']:.0%} of {cells[engine, batch]['roof_us']:,.1f}"
                    for batch in batches
                ),
            ]
            for engine in dict.fromkeys(each["engine"] for each in selected)
        ]
        head = ["engine", *(f"batch {batch:,}: share of roof, µs" for batch in batches)]
        text += [f"## The {network} network", harness.table(head, lines)]
    return "\n\n".join(text)


def plot(rows: dict[str, Any]) -> "Figure":
    """Return a figure of bandwidth by working set, and of the engines' speed below their roofs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 5), layout="constrained")
    bandwidth, *panels = figure.subplots(1, 3)
    bandwidth.plot(
        [each["bytes"] / 1024 for each in rows["bandwidth"]],
        [each["bytes_per_second"] / 1e9 for each in rows["bandwidth"]],
        "o-",
    )
    bandwidth.set(xlabel="working set, KB", ylabel="GB/s", xscale="log", ylim=(0, None))
    colors = {"float32": "C0", "bf16": "C2", "int8": "C3"}
    for axes, network in zip(panels, ("classic", "shipped"), strict=True):
        selected = [each for each in rows["engines"] if each["network"] == network]
        for engine in dict.fromkeys(each["engine"] for each in selected):
            points = [each for each in selected if each["engine"] == engine]
            color = colors[points[0]["kind"]]
            batches = [each["batch"] for each in points]
            ours = engine.startswith("ours")
            axes.plot(
                batches,
                [each["operations_per_second"] / 1e9 for each in points],
                "o-" if ours else ".:",
                color=color,
                alpha=1 if ours else 0.5,
            )
            roofs = [each["operations_per_second"] / each["share"] / 1e9 for each in points]
            axes.plot(batches, roofs, "-", color=color, linewidth=3, alpha=0.3)
        for kind, color in colors.items():
            axes.plot([], [], "-", color=color, linewidth=3, alpha=0.3, label=f"roof, {kind}")
        axes.plot([], [], "ko-", label="ours")
        axes.plot([], [], "k.:", label="others")
        axes.set(title=network, xlabel="batch", xscale="log", yscale="log")
        axes.set_ylabel("billion operations/s")
        axes.legend(fontsize="small")
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    main()
