"""Fill the tables and figures of the README files and docs/ from committed files.

    python benchmarks/fill_pages.py            # fill
    python benchmarks/fill_pages.py --check    # fail if a page differs from the measurements

Two comments mark a section of a page that is filled with a table:

    <!-- begin: quality (python benchmarks/fill_pages.py fills this) -->
    <!-- end: quality -->

and two mark a figure (a measured number) within a sentence, on any page:

    a file of <!-- figure: model-bytes -->317,462<!-- end --> bytes

A figure comes from a committed table or history, or is the size of the shipped model. Nothing is
timed or evaluated here.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import harness

from cgan_runtime.model_file.contract import MAX_BATCH
from cgan_runtime.model_file.reading import SHIPPED_MODEL

Table = list[dict[str, str]]
DOCS = harness.ROOT / "docs"
README = harness.ROOT / "README.md"
SECTION = re.compile(
    r"(<!-- begin: (?P<name>[a-z-]+) [^>]*-->\n)(?P<text>.*?)(<!-- end: (?P=name) -->)", re.DOTALL
)

FIGURE = re.compile(r"(<!-- figure: (?P<name>[^ ]+) -->)[^<]*(<!-- end -->)")


def read_table(path: Path) -> Table:
    """Return the rows of a Markdown table, each as a dict of cells by column name."""
    head, _, *rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    return [dict(zip(head, row, strict=True)) for row in rows]


def generation_table() -> str:
    """Return the table in docs/scaling.md for a billion images and a million devices."""
    from scaling import linear_fit

    record = latest_record("scaling")
    start, per_image = linear_fit(record["rows"]["images"])
    memory = max(row["memory"] for row in record["rows"]["images"])
    bulk = record["rows"]["threads"][0]
    bulk_us = bulk["cpu_us"] / bulk["images"]
    one_us = record["rows"]["batch"][0]["cpu_us"]
    pixels, file = 28 * 28, SHIPPED_MODEL.stat().st_size
    billion, devices, daily = 10**9, 10**6, 1000
    lines = [
        ["CPU time to start a process", f"{start:.2f} s"],
        ["CPU time per image, whole processes", f"{per_image * 1e6:.2f} µs"],
        ["CPU time per image, running process, bulk", f"{bulk_us:.2f} µs"],
        ["CPU time per image, one image per call", f"{one_us:.1f} µs"],
        ["peak memory, for any number of images", f"{memory:.0f} MB"],
        ["**a billion images**: CPU time", f"{billion * per_image / 60:.0f} minutes of one core"],
        ["time on 100 cores", f"{billion * per_image / 100 + start:.0f} s"],
        ["size of the pixels", f"{billion * pixels / 1e9:,.0f} GB"],
        ["time to write them at 1 GB/s", f"{billion * pixels / 1e9 / 60:.0f} minutes"],
        ["**a million devices**: model files sent", f"{devices * file / 1e9:.0f} GB in total"],
        [f"images a day, {daily:,} per device", f"{devices * daily / 1e9:.0f} billion"],
        ["CPU time per device and day, on this core", f"{daily * one_us / 1e3:.0f} ms"],
        ["CPU time on a core that is 50 times slower", f"{daily * one_us * 50 / 1e6:.1f} s"],
        ["days until the 2^63 images of a seed are used", f"{2**63 / devices / daily:.0e}"],
    ]
    return harness.table(["", ""], lines) + f"\n{harness.conditions(record)}\n"


def robustness_table() -> str:
    """Return the table of the robustness tests in docs/reliability.md."""
    folder = DOCS / "reliability"
    fuzz = map(json.loads, (folder / "fuzz.jsonl").read_text("utf-8").splitlines())
    faults, load = (
        json.loads((folder / name).read_text("utf-8")) for name in ("faults.json", "load.json")
    )
    one, many = load["one generator"], load["at once"]
    limits = load["megabytes of address space"]
    calls, memory = sum(one["calls"].values()), one["megabytes"]
    rows = [
        (
            f"{each['mutants']:,} damaged and hostile files, {each['target']}: `make fuzz`",
            (
                f"{each.get('refused', 0):,} rejected with a one-line error, "
                f"{each.get('accepted', 0):,} valid; max {each['max_cpu_seconds']:.1f} s of CPU "
                f"and {each['max_megabytes']:,} MB"
            ),
            each["wrong"],
        )
        for each in fuzz
    ]
    rows += [
        (
            f"{faults['faults']:,} failing file operations: `make faults`",
            (
                f"{len(faults['scenarios'])} commands; process killed before and within a write, "
                "terminated, disk full, I/O error, read-only"
            ),
            faults["wrong"],
        ),
        (
            f"{calls:,} calls from {one['threads']} threads on one generator: `make load`",
            (
                f"{one['images']:,} images in {one['seconds'] / 60:.0f} minutes, all compared; "
                f"{memory['warm']:.0f} MB after warm-up, {memory['end']:.0f} MB at the end"
            ),
            len(one["wrong"]),
        ),
        (
            (
                f"{many['commands']} concurrent commands, and commands with little address space: "
                "`make load`"
            ),
            f"all finished; a one-line error below {min_memory(limits)} MB of address space",
            len(many["wrong"] + limits["wrong"]),
        ),
    ]
    return harness.table(["test", "result", "failures"], rows)


def min_memory(limits: Mapping[str, Any]) -> int:
    """Return the smallest address space, in megabytes, in which a command generated images."""
    return min(int(size) for size, outcome in limits.items() if outcome == "generated")


def coverage_table() -> str:
    """Return the table of coverage and mutation scores in docs/reliability.md."""
    folder = DOCS / "reliability"
    coverage = json.loads((folder / "coverage.json").read_text("utf-8"))
    mutation = json.loads((folder / "mutation.json").read_text("utf-8"))
    rows = [
        [
            f"cgan-{name}",
            f"{each['lines']:,} lines, {each['branches']:,} branches",
            f"{each['percent']:.1f} % covered",
        ]
        for name, each in coverage.items()
    ]
    rows += [
        [f"{name}.py", f"{each['mutants']} mutants", f"{each['score']:.1%} detected"]
        for name, each in mutation.items()
    ]
    return harness.table(["code", "size", "by the tests"], rows)


def latest_record(benchmark: str) -> dict[str, Any]:
    """Return the newest record of a benchmark's full run.

    Raises:
        click.ClickException: the history has no such record.
    """
    record = harness.last_record(benchmark)
    if record is None:
        raise click.ClickException(
            f"the history has no measurements of {benchmark}; run benchmarks/{benchmark}.py"
        )
    return record


def content_of(path: Path) -> Callable[[], str]:
    """Return a function that returns the whole content of a file."""
    return lambda: path.read_text(encoding="utf-8")


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    DOCS / "quality.md": {
        "quality": content_of(DOCS / "quality" / "table.md"),
        **{
            name: content_of(DOCS / "quality" / name / "table.md")
            for name in ("fashion", "cifar", "glyphs", "few", "optdigits")
        },
    },
    DOCS / "precisions.md": {"precisions": content_of(DOCS / "precisions" / "table.md")},
    DOCS / "scaling.md": {"generation": generation_table},
    DOCS / "reliability.md": {"robustness": robustness_table, "test-strength": coverage_table},
    DOCS / "classic.md": {"classic": content_of(DOCS / "classic" / "curve.md")},
}


def accuracy(row: str) -> str:
    """Return the label accuracy in a row of the quality table."""
    table = read_table(DOCS / "quality" / "table.md")
    return next(each["accuracy"] for each in table if each[""] == row)


def cpu_time(batch: int) -> float:
    """Return the CPU time in µs that the shipped model needs for a batch on one thread."""
    key = {"network": "shipped", "engine": "ours, int8", "threads": 1, "batch": batch}
    rows = latest_record("inference")["rows"]
    return next(float(row["cpu_us"]) for row in rows if key.items() <= row.items())


def array_memory() -> str:
    """Return the peak memory in MB of `cgan-run` while it writes a million images as an array."""
    record = json.loads((DOCS / "benchmarks" / "memory.json").read_text("utf-8"))
    return f"{max(record['runs']['npy']['megabytes']):.0f}"


def installed_size() -> str:
    """Return the installed size in MB of the runtime and the packages that it requires."""
    rows = latest_record("startup")["rows"]
    return next(f"{row['installed_mb']:.0f}" for row in rows if row["process"] == "cgan-run --help")


def training_speedup(benchmark: str, loop: str) -> str:
    """Return the speedup of a training loop over the typical one, with the most threads."""
    rows = {row["loop"]: row["images_per_second"] for row in latest_record(benchmark)["rows"]}
    ratio = rows[f"recipe classic, {loop}"] / rows["typical PyTorch loop"]
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"


def c_constants() -> str:
    """Return the size in kB of the constants of the shipped model as C."""
    page = (DOCS / "microcontrollers.md").read_text("utf-8")
    sizes = set(re.findall(r"^\| cortex-[^|]+\|[^|]+\| ([\d,]+) \|", page, re.MULTILINE))
    (size,) = (int(each.replace(",", "")) for each in sizes)
    return f"{size / 1000:.0f}"


FIGURES: dict[str, Callable[[], str]] = {
    "array-memory": array_memory,
    "c-constants": c_constants,
    "image-latency": lambda: f"{cpu_time(1):.0f}",
    "image-throughput": lambda: f"{MAX_BATCH / cpu_time(MAX_BATCH) * 1e6:,.0f}",
    "installed-size": installed_size,
    "model-accuracy": lambda: accuracy("the model that ships"),
    "model-bytes": lambda: f"{SHIPPED_MODEL.stat().st_size:,}",
    "real-accuracy": lambda: accuracy("real training images"),
    "training-bf16": lambda: training_speedup("training", "bf16"),
    "training-cuda": lambda: training_speedup("training-cuda", "fp32"),
    "training-cuda-tf32": lambda: training_speedup("training-cuda", "tf32"),
    "training-fp32": lambda: training_speedup("training", "fp32"),
}


def pages_to_fill() -> list[Path]:
    """Return the pages that mark a section or a figure."""
    candidates = {README, *DOCS.rglob("*.md"), *harness.ROOT.glob("*/README.md")}
    return sorted(
        {*PAGES, *(page for page in candidates if FIGURE.search(page.read_text("utf-8")))}
    )


def fill_page(page: Path) -> str:
    """Return a page with its sections and figures filled.

    Raises:
        click.ClickException: the page does not mark exactly the expected sections, or marks an
            unknown figure.
    """
    text, sections = page.read_text(encoding="utf-8"), PAGES.get(page, {})
    marked = sorted(match["name"] for match in SECTION.finditer(text))
    if page in PAGES and marked != sorted(sections):
        raise click.ClickException(
            f"{page.relative_to(harness.ROOT)} marks the sections {marked}, expected "
            f"{sorted(sections)}; see the comments in benchmarks/fill_pages.py"
        )
    if unknown := {match["name"] for match in FIGURE.finditer(text)} - set(FIGURES):
        raise click.ClickException(
            f"{page.relative_to(harness.ROOT)} marks the figure {min(unknown)}; the figures are "
            f"{', '.join(FIGURES)}"
        )
    if sections:
        text = SECTION.sub(lambda m: f"{m[1]}\n{sections[m['name']]().strip()}\n\n{m[4]}", text)
    return FIGURE.sub(lambda m: f"{m[1]}{FIGURES[m['name']]()}{m[3]}", text)


@click.command()
@click.option("--check", is_flag=True, help="Write nothing, and fail if a page would change.")
def main(check: bool) -> None:
    """Fill the tables and figures of the README files and docs/."""
    texts = {page: fill_page(page) for page in pages_to_fill()}
    stale = {page: text for page, text in texts.items() if text != page.read_text("utf-8")}
    names = ", ".join(str(page.relative_to(harness.ROOT)) for page in stale)
    if check and stale:
        raise click.ClickException(
            f"out of date: {names}; run python benchmarks/fill_pages.py to fill them"
        )
    for page, text in stale.items():
        page.write_text(text, encoding="utf-8")
    click.echo(f"filled {names}" if stale else "all pages are up to date")


if __name__ == "__main__":
    main()
