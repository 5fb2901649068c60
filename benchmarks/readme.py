"""Fill the figures of README.md and docs/ from the tables that were measured.

    python benchmarks/readme.py            # fill
    python benchmarks/readme.py --check    # fail where a page and the tables disagree

A page marks what is filled with two comments:

    <!-- begin: quality (python benchmarks/readme.py fills this) -->
    <!-- end: quality -->

Nothing is measured here: every figure comes from a committed table or line of history.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import harness

from cgan_runtime.generator import SHIPPED_MODEL

Table = list[dict[str, str]]
DOCS = harness.ROOT / "docs"
README = harness.ROOT / "README.md"
TRIED = ("faults", "load")  # each a file in docs/reliability
LOADED = ("one generator", "at once", "megabytes of address space")
SECTION = re.compile(
    r"(<!-- begin: (?P<name>[a-z-]+) [^>]*-->\n)(?P<text>.*?)(<!-- end: (?P=name) -->)", re.DOTALL
)


def read_table(path: Path) -> Table:
    """Return the rows of a Markdown table, cells by column; the first column's name is empty."""
    head, _, *rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    # A name that comes twice belongs to the column before it.
    names = [
        f"{name}, {head[i - 1].rpartition(', ')[2]}" if head.count(name) > 1 else name
        for i, name in enumerate(head)
    ]
    return [dict(zip(names, row, strict=True)) for row in rows]


def shortened(table: Table, columns: Mapping[str, str], rows: Sequence[str] = ()) -> str:
    """Return columns, named as they are to be called, and these rows or all, as Markdown."""
    kept = [row for row in table if not rows or row[""] in rows]
    missing = set(rows) - {row[""] for row in kept}
    if missing:
        raise click.ClickException(f"the table lacks {', '.join(sorted(missing))}; measure again")
    cells = [[row[""], *(row[name] for name in columns)] for row in kept]
    return harness.table(["", *columns.values()], cells)


def quality() -> str:
    """The README's: what a reader needs to choose a recipe."""
    columns = ("accuracy", "worst digit", "Fréchet", "precision", "recall", "CAS")
    return shortened(
        read_table(DOCS / "quality" / "table.md"),
        dict(zip(columns, columns, strict=True)),
        ["seed, epoch 200", "edge, seed 0", "the model that ships", "real training images"],
    )


def precisions() -> str:
    """The README's: what a precision costs and brings."""
    columns = {
        "bytes": "bytes",
        "mean": "pixel error",
        "label accuracy": "accuracy",
        "Fréchet": "Fréchet",
        "µs, batch 1": "µs for one",
        "ratio, batch 1": "ratio",
        "µs an image, batch 1024": "µs in bulk",
        "ratio, batch 1024": "ratio",
    }
    return shortened(read_table(DOCS / "precisions" / "table.md"), columns)


def inference() -> str:
    """The README's: every engine on one thread, for one image and in bulk."""
    line = recorded("inference")
    rows = [row for row in line["rows"] if row["threads"] == 1]
    largest = max(row["batch"] for row in rows)
    cells = {(row["network"], row["engine"], row["batch"]): row for row in rows}
    lines = []
    for engine in dict.fromkeys(row["engine"] for row in rows):
        found = [cells[name, engine, size] for name in ("seed", "shipped") for size in (1, largest)]
        speeds = [f"{row['batch'] / row['cpu_us'] * 1e6:,.0f}" for row in found]
        lines.append([engine, *speeds, f"{found[2]['error_mean']:.2f}"])
    head = ["", "classic, one", f"{largest:,}", "shipped, one", f"{largest:,}", "pixel error"]
    its = line["machine"]
    where = f"{its['processor']} ({', '.join(its['features'])}), {line['time'][:10]}"
    return harness.table(head, lines) + f"\n*One core of {where}.*\n"


def start() -> str:
    """The README's: what a process costs."""
    lines = [
        [
            row["process"],
            f"{row['cpu_us'] / 1e3:.0f}",
            f"{row['memory_mb']:.0f}",
            "" if row["installed_mb"] is None else f"{row['installed_mb']:.0f}",
        ]
        for row in recorded("start")["rows"]
    ]
    return harness.table(["process", "CPU ms", "memory MB", "installed MB"], lines)


def generation() -> str:
    """docs/scaling.md's: what a billion images, and a million devices, come to."""
    from growth import fit

    line = recorded("growth")
    first, image = fit(line["rows"]["images"])
    most = max(row["memory"] for row in line["rows"]["images"])
    bulk = line["rows"]["threads"][0]
    each = bulk["cpu_us"] / bulk["images"]
    one_us = line["rows"]["batch"][0]["cpu_us"]
    pixels, file = 28 * 28, SHIPPED_MODEL.stat().st_size
    billion, devices, a_day = 10**9, 10**6, 1000
    lines = [
        ["CPU time of a process to start", f"{first:.2f} s"],
        ["CPU time an image, in whole processes", f"{image * 1e6:.2f} µs"],
        ["the same in a process that runs, in bulk", f"{each:.2f} µs"],
        ["one image a call", f"{one_us:.1f} µs"],
        ["most memory, whatever the number of images", f"{most:.0f} MB"],
        ["**a billion images**: CPU time", f"{billion * image / 60:.0f} minutes of one core"],
        ["on 100 cores, started at once", f"{billion * image / 100 + first:.0f} s"],
        ["pixels, as bytes", f"{billion * pixels / 1e9:,.0f} GB"],
        ["written at 1 GB/s", f"{billion * pixels / 1e9 / 60:.0f} minutes"],
        ["**a million devices**: the model sent to each", f"{devices * file / 1e9:.0f} GB in all"],
        [f"each draws {a_day:,} images a day, one a call", f"{devices * a_day / 1e9:.0f} billion"],
        ["CPU time of such a day on each, at this core's speed", f"{a_day * one_us / 1e3:.0f} ms"],
        ["on a core fifty times as slow", f"{a_day * one_us * 50 / 1e6:.1f} s"],
        ["days until a seed's 2^63 images are used up", f"{2**63 / devices / a_day:.0e}"],
    ]
    return harness.table(["", ""], lines) + f"\n{harness.conditions(line)}\n"


def tried() -> str:
    """docs/reliability.md's: how much was tried, and what came of it."""
    folder = DOCS / "reliability"
    fuzz = map(json.loads, (folder / "fuzz.jsonl").read_text("utf-8").splitlines())
    faults, load = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in TRIED)
    one, many, little = (load[part] for part in LOADED)
    calls, memory = sum(one["calls"].values()), one["megabytes"]
    rows = [
        (
            f"{each['mutants']:,} damaged and hostile files, {each['target']}: `make fuzz`",
            (
                f"{each.get('refused', 0):,} refused in a line, {each.get('accepted', 0):,} sound; "
                f"most {each['most_cpu_seconds']:.1f} s of CPU and {each['most_megabytes']:,} MB"
            ),
            each["wrong"],
        )
        for each in fuzz
    ]
    rows += [
        (
            f"{faults['faults']:,} faults at file operations: `make faults`",
            (
                f"{len(faults['scenarios'])} commands: killed, killed half-way, terminated, disk "
                "full, broken, read-only"
            ),
            faults["wrong"],
        ),
        (
            f"{calls:,} calls from {one['threads']} threads on one generator: `make load`",
            (
                f"{one['images']:,} images in {one['seconds'] / 60:.0f} minutes, each compared; "
                f"{memory['warm']:.0f} MB once warm, {memory['end']:.0f} at the end"
            ),
            len(one["wrong"]),
        ),
        (
            f"{many['commands']} commands at once, and little memory: `make load`",
            f"all finished; below {least_memory(little)} MB of address space a line says so",
            len(many["wrong"] + little["wrong"]),
        ),
    ]
    return harness.table(["tried", "came of it", "wrong"], rows)


def least_memory(limits: Mapping[str, Any]) -> int:
    """Return the least address space, in megabytes, in which a command drew."""
    return min(int(each) for each, outcome in limits.items() if outcome == "drawn")


def noticed() -> str:
    """docs/reliability.md's: what the tests reach, and whether they notice a change."""
    folder = DOCS / "reliability"
    reached = json.loads((folder / "coverage.json").read_text("utf-8"))
    mutants = json.loads((folder / "mutation.json").read_text("utf-8"))
    rows = [
        [
            f"cgan-{name}",
            f"{each['lines']:,} lines, {each['branches']:,} branches",
            f"{each['percent']:.1f} % reached",
        ]
        for name, each in reached.items()
    ]
    rows += [
        [f"{name}.py", f"{each['mutants']} mutants", f"{each['score']:.1%} noticed"]
        for name, each in mutants.items()
    ]
    return harness.table(["", "", "by the tests"], rows)


def recorded(question: str) -> dict[str, Any]:
    """Return the newest whole measurement of a question."""
    line = harness.last_record(question)
    if line is None:
        raise click.ClickException(f"{question} was never measured; python benchmarks {question}")
    return line


def whole(path: Path) -> Callable[[], str]:
    """Return what gives a table as it is."""
    return lambda: path.read_text(encoding="utf-8")


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {
        "quality": quality,
        "precisions": precisions,
        "inference": inference,
        "start": start,
    },
    DOCS / "quality.md": {
        "quality": whole(DOCS / "quality" / "table.md"),
        "optdigits": whole(DOCS / "quality" / "optdigits" / "table.md"),
    },
    DOCS / "precisions.md": {"precisions": whole(DOCS / "precisions" / "table.md")},
    DOCS / "scaling.md": {"generation": generation},
    DOCS / "reliability.md": {"tried": tried, "noticed": noticed},
    DOCS / "seed.md": {"seed": whole(DOCS / "seed" / "curve.md")},
}


def filled(page: Path) -> str:
    """Return a page with its sections filled.

    Raises:
        click.ClickException: it lacks a section that it should have, or has one that it should not.
    """
    text, wanted = page.read_text(encoding="utf-8"), PAGES[page]
    found = [match["name"] for match in SECTION.finditer(text)]
    if sorted(found) != sorted(wanted):
        raise click.ClickException(
            f"{page.relative_to(harness.ROOT)} marks {found}, wanted is {sorted(wanted)}; "
            "write the comments that benchmarks/readme.py describes"
        )
    return SECTION.sub(lambda m: f"{m[1]}\n{wanted[m['name']]().strip()}\n\n{m[4]}", text)


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; fail where something would change.")
def main(check: bool) -> None:
    """Fill the figures of README.md and docs/."""
    stale = {page: filled(page) for page in PAGES}
    stale = {page: text for page, text in stale.items() if text != page.read_text("utf-8")}
    names = ", ".join(str(page.relative_to(harness.ROOT)) for page in stale)
    if check and stale:
        raise click.ClickException(f"{names} disagree with the tables; python benchmarks/readme.py")
    for page, text in stale.items():
        page.write_text(text, encoding="utf-8")
    click.echo(f"filled {names}" if stale else "everything agrees with the tables")


if __name__ == "__main__":
    main()
