"""How near does each engine come to what one core can do?

    make bench BENCH_FLAGS=roofline      (or: python benchmarks/roofline.py [--quick])

Measures how fast the core reads working sets of each size, and how many operations a second its
best product of matrices reaches in float32, bf16 and int8. A network of a batch cannot take less
time than its multiplications at that peak, nor less than reading its weights at that bandwidth. The
engines' own times are those of the last run of inference.py, which make bench makes just before.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
import harness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUESTION = "roofline"
# Bytes: within the first cache of any core, to well beyond the last of most.
SIZES = [2**power for power in range(14, 28)]
QUICK_SIZES = SIZES[::4]
ROUNDS, QUICK_ROUNDS = 9, 3
SIDE = 1024  # of the matrices that show the peak
LEAST_BYTES = 2**22  # that one call reads, again and again where the working set is small
BYTES = {"float32": 4, "bf16": 2, "int8": 1}  # a weight

INTRODUCTION = """\
One thread of one core. The roof of a network at a batch is the longer of two times that nothing
can beat: its multiplications at the peak that products of 1,024 x 1,024 matrices reach, and its
weights read once at the bandwidth measured for a working set of their size. A share of the roof is
that time over the one measured; noise, labels, bytes and calls are in the measured one alone."""


@click.command()
@click.option("--quick", is_flag=True, help="Fewer sizes and rounds; no page.")
@click.option("--worker", is_flag=True, hidden=True)
def main(quick: bool, worker: bool) -> None:
    """Measure, record and write the page."""
    if worker:
        click.echo(json.dumps(measure(quick=quick)))
        return
    inference = harness.last_record("inference", quick=quick)
    if inference is None or inference["machine"] != harness.machine():
        raise click.ClickException(
            "there are no times of the engines on this machine; run benchmarks/inference.py first"
        )
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with harness.pinned(1):
        done = subprocess.run(
            [sys.executable, __file__, "--worker", *["--quick"] * quick],
            env=os.environ | limits | {"ORT_DISABLE_TELEMETRY": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    core = json.loads(done.stdout.splitlines()[-1])
    rows = core | {"engines": shares(core, inference["rows"])}
    line = harness.record(QUESTION, rows, quick=quick, missing=inference["missing"])
    click.echo(harness.publish(QUESTION, line, page(rows), plot(rows)))


def measure(*, quick: bool) -> dict[str, Any]:
    """Return bytes a second by working set, and operations a second by kind of number."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    sizes = QUICK_SIZES if quick else SIZES
    timings = harness.interleaved({str(size): reading(size) for size in sizes}, rounds, 0.02)
    bandwidth = [
        {"bytes": size, "bytes_per_second": float(f"{read / timings[str(size)].median_cpu:.4g}")}
        for size in sizes
        for read in [size * repeats(size)]
    ]
    peaks: dict[str, list[tuple[float, str]]] = {}
    timings = harness.interleaved(products(), rounds, 0.02)
    for name, timing in timings.items():
        kind, library = name.split(", ")
        peaks.setdefault(kind, []).append((2 * SIDE**3 / timing.median_cpu, library))
    best = {kind: max(found) for kind, found in peaks.items()}
    return {
        "bandwidth": bandwidth,
        "peaks": [
            {"kind": kind, "operations_per_second": float(f"{most:.4g}"), "library": library}
            for kind, (most, library) in best.items()
        ],
    }


def repeats(size: int) -> int:
    """Return how often a call reads a working set."""
    return max(1, LEAST_BYTES // size)


def reading(size: int) -> Callable[[], object]:
    """Return a call that reads two arrays of size bytes together, repeats(size) times."""
    import numpy as np

    count = size // 8
    one, other = np.ones(count, np.float32), np.ones((count, 1), np.float32)
    again = np.broadcast_to(one, (repeats(size), 1, count))  # the same memory each time
    out = np.empty((repeats(size), 1, 1), np.float32)
    return lambda: np.matmul(again, other, out=out)


def products() -> dict[str, Callable[[], object]]:
    """Return a product of matrices of each kind in each library, named "kind, library"."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((SIDE, SIDE), dtype=np.float32) for _ in range(2))
    ta, tb = torch.from_numpy(a), torch.from_numpy(b)
    half = ta.bfloat16(), tb.bfloat16()

    bytes_a = random.integers(0, 128, (SIDE, SIDE)).astype(np.uint8)
    bytes_b = random.integers(-64, 64, (SIDE, SIDE)).astype(np.int8)
    return {
        "float32, numpy": lambda: a @ b,
        "float32, torch": lambda: torch.mm(ta, tb),
        "float32, onnxruntime": in_onnxruntime("MatMul", a, b, np.float32),
        "bf16, torch": lambda: torch.mm(*half),
        "int8, onnxruntime": in_onnxruntime("MatMulInteger", bytes_a, bytes_b, np.int32),
    }


def in_onnxruntime(operator: str, a: Any, b: Any, result: Any) -> Callable[[], object]:
    """Return a call that multiplies a with b, a constant, giving numbers of a kind."""
    import numpy as np
    import onnxruntime
    from onnx import helper, numpy_helper

    kinds = [helper.np_dtype_to_tensor_dtype(np.dtype(each)) for each in (a.dtype, result)]
    given, got = (
        helper.make_tensor_value_info(name, kind, list(a.shape))
        for name, kind in zip("ac", kinds, strict=True)
    )
    node = helper.make_node(operator, ["a", "b"], ["c"])
    graph = helper.make_graph([node], "product", [given], [got], [numpy_helper.from_array(b, "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"a": a})


def shares(core: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return for each engine and batch on one thread the roof and how much of it was reached."""
    from networks import load_networks

    multiplications = {name: each.multiplications for name, each in load_networks().items()}
    peaks = {each["kind"]: each["operations_per_second"] for each in core["peaks"]}
    found = []
    for row in rows:
        if row["threads"] != 1:
            continue
        kind, count = numbers_of(row["engine"]), multiplications[row["network"]]
        size = count * BYTES[kind]
        at_peak = 2 * count * row["batch"] / peaks[kind]
        reading_weights = size / bandwidth_at(core["bandwidth"], size)
        roof = max(at_peak, reading_weights)
        found.append(
            {
                "network": row["network"],
                "engine": row["engine"],
                "kind": kind,
                "batch": row["batch"],
                "operations_per_second": float(
                    f"{2 * count * row['batch'] / row['cpu_us'] * 1e6:.4g}"
                ),
                "roof_us": float(f"{roof * 1e6:.4g}"),
                "limit": "peak" if at_peak > reading_weights else "bandwidth",
                "share": float(f"{roof * 1e6 / row['cpu_us']:.3g}"),
            }
        )
    return found


def numbers_of(engine: str) -> str:
    """Return in which kind of numbers an engine multiplies here."""
    if "int8" in engine:
        return "int8"
    in_bf16 = {"bf16", "AMX"} & set(harness.machine()["features"])
    return "bf16" if engine == "OpenVINO, its default" and in_bf16 else "float32"


def bandwidth_at(rows: list[dict[str, Any]], size: int) -> float:
    """Return bytes a second for the measured working set nearest to a size."""
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
        harness.table(["numbers", "billion operations/s", "reached by"], peaks),
        harness.table(["working set, KB", "GB/s"], bandwidth),
    ]
    for network in dict.fromkeys(each["network"] for each in rows["engines"]):
        mine = [each for each in rows["engines"] if each["network"] == network]
        batches = sorted({each["batch"] for each in mine})
        cells = {(each["engine"], each["batch"]): each for each in mine}
        lines = [
            [
                f"{engine} ({cells[engine, batches[0]]['kind']})",
                *(
                    f"{cells[engine, batch]['share']:.0%} of {cells[engine, batch]['roof_us']:,.1f}"
                    for batch in batches
                ),
            ]
            for engine in dict.fromkeys(each["engine"] for each in mine)
        ]
        head = ["", *(f"batch {batch:,}: share of roof, µs" for batch in batches)]
        text += [f"## The {network} network", harness.table(head, lines)]
    return "\n\n".join(text)


def plot(rows: dict[str, Any]) -> "Figure":
    """Return bandwidth by working set, and operations a second by batch below their roofs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 5), layout="constrained")
    reading_axes, *others = figure.subplots(1, 3)
    reading_axes.plot(
        [each["bytes"] / 1024 for each in rows["bandwidth"]],
        [each["bytes_per_second"] / 1e9 for each in rows["bandwidth"]],
        "o-",
    )
    reading_axes.set(xlabel="working set, KB", ylabel="GB/s", xscale="log", ylim=(0, None))
    colors = {"float32": "C0", "bf16": "C2", "int8": "C3"}
    for axes, network in zip(others, ("seed", "shipped"), strict=True):
        mine = [each for each in rows["engines"] if each["network"] == network]
        for engine in dict.fromkeys(each["engine"] for each in mine):
            points = [each for each in mine if each["engine"] == engine]
            color = colors[points[0]["kind"]]
            batches = [each["batch"] for each in points]
            ours = engine.startswith("our")
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
