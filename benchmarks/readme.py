"""Fill the figures of README.md and docs/ from the tables that were measured.

    python benchmarks/readme.py            # fill
    python benchmarks/readme.py --check    # fail where a page and the tables disagree

A page marks what is filled with two comments:

    <!-- begin: quality (python benchmarks/readme.py fills this) -->
    <!-- end: quality -->

Nothing is measured here: every figure comes from a committed table or line of history.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
import harness

Table = list[dict[str, str]]
DOCS = harness.ROOT / "docs"
README = harness.ROOT / "README.md"
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


def whole(path: Path) -> Callable[[], str]:
    """Return what gives a table as it is."""
    return lambda: path.read_text(encoding="utf-8")


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"quality": quality, "precisions": precisions},
    DOCS / "quality.md": {"quality": whole(DOCS / "quality" / "table.md")},
    DOCS / "precisions.md": {"precisions": whole(DOCS / "precisions" / "table.md")},
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
