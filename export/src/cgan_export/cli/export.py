"""The command cgan-export."""

from pathlib import Path

import click

from cgan_export import __version__
from cgan_runtime.cli import conventions
from cgan_runtime.errors import OutputError
from cgan_runtime.model_file.contract import NEWEST_OPSET, OPSET
from cgan_training.cli.common import default_cache_dir, prepare_for_torch
from cgan_training.model_path import find_model

CARD = (".png", ".md")  # endings of what --card writes

# Not the docstring: python -OO drops those.
HELP = """\
Export MODEL, a model.pt or its run directory, to the ONNX file OUTPUT.

OUTPUT is written only after it was checked and drew the same digits as the trained network
does: to one grey level, or in int8 to what eight bits can hold.
"""
EXAMPLES = """\b
Examples:
  cgan-export runs/digits/model.pt digits.onnx
  cgan-export runs/digits digits.onnx --precision int8 --judge --card
  cgan-export runs/digits digits.onnx --triton repository
  cgan-export runs/digits digits.onnx && cgan-run --model digits.onnx --digit 9
"""


def check_output(_ctx: click.Context, _param: click.Parameter, value: Path) -> Path:
    """Refuse what names no file."""
    if not value.name:
        raise click.BadParameter(f"{str(value)!r} names no file")
    return value


@click.command("cgan-export", help=HELP, epilog=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False), callback=check_output)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp32", "fp16", "int8"]),
    multiple=True,
    default=["fp32"],
    show_default=True,
    help="fp16 halves the weights and computes in float32; int8 quarters them and multiplies in "
    "integers. Give it again for more files, which are then named OUTPUT-PRECISION.",
)
@click.option(
    "--opset",
    type=click.IntRange(OPSET, NEWEST_OPSET),
    default=OPSET,
    show_default=True,
    help="Of ONNX's operators.",
)
@click.option(
    "--quality-gate/--no-quality-gate",
    default=True,
    show_default=True,
    help="Of fp16 and int8: refuse a file if a judge reads 0.1 points less of its images than of "
    "the trained network's. Needs the data; the judge is that of --judge.",
)
@click.option(
    "--dataset", help="What MODEL learnt, for the judge, where its own word does not find it."
)
@click.option(
    "--judge",
    is_flag=True,
    help="Measure quality for the file's metadata, with a judge trained on the real data at first "
    "use (some minutes) and kept in --cache-dir.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    envvar="CGAN_DATA_DIR",
    show_envvar=True,
    help="torchvision's root, for the judge.",
)
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=default_cache_dir,
    show_default="~/.cache/cgan",
    help="Where the judge is kept.",
)
@click.option(
    "--card",
    is_flag=True,
    help="Also write a model card and a sheet beside OUTPUT: OUTPUT's name with .md and .png.",
)
@click.option(
    "--triton",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also add the file to the model repository DIR of NVIDIA's Triton server, as the newest "
    "version of a model called as OUTPUT is.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, message="%(prog)s %(version)s")
def command(
    model: Path,
    output: Path,
    precisions: tuple[str, ...],
    opset: int,
    quality_gate: bool,
    dataset: str | None,
    judge: bool,
    data_dir: Path,
    cache_dir: Path,
    card: bool,
    triton: Path | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Export MODEL, a model.pt or its run directory, to the ONNX file OUTPUT."""
    prepare_for_torch()
    # What can be refused is, before the seconds that torch takes to load.
    find_model(model)
    wanted = dict.fromkeys(precisions)  # each once, in order
    places = {
        precision: output.with_name(
            f"{output.stem}-{precision}{output.suffix}" if len(wanted) > 1 else output.name
        )
        for precision in wanted
    }
    for place in places.values():
        check_place(place, model, card=card)
    from functools import partial

    from cgan_export.cli.report import as_table, facts_of
    from cgan_export.evaluation.quality_gate import compare_accuracy, measure_quality
    from cgan_export.export import export_model
    from cgan_export.targets.triton import check_name, write_repository

    if triton:
        for place in places.values():
            check_name(place)
    evaluate = partial(measure_quality, data_dir=data_dir, cache_dir=cache_dir, dataset=dataset)
    compare = partial(
        compare_accuracy,
        model_path=model,
        data_dir=data_dir,
        cache_dir=cache_dir,
        dataset=dataset,
    )
    rows = []
    for precision, place in places.items():
        report = export_model(
            model,
            place,
            precision=precision,
            opset=opset,
            gate=compare if quality_gate and precision != "fp32" else None,
            measure=evaluate if judge else None,
        )
        if card:
            write_card(report.path)
        facts = facts_of(report)
        if triton:
            facts["triton"] = str(write_repository(report.path, triton))
        rows.append(facts)
    click.echo(conventions.json_text(rows) if as_json else as_table(rows))


def check_place(place: Path, model: Path, *, card: bool) -> None:
    """Refuse a folder that is not there, and to write over the model, or the card over the file.

    Raises:
        OutputError: the folder is not there.
        click.UsageError: something would be written over.
    """
    if not place.parent.is_dir():
        raise OutputError(f"cannot write {place}: {place.parent} is no folder; choose another")
    if place.exists() and any(
        each.exists() and place.samefile(each) for each in (model, model / "model.pt")
    ):
        raise click.UsageError(f"OUTPUT {place} is the trained model; choose another name")
    if card and place.suffix.lower() in CARD:
        raise click.UsageError(
            f"--card would write {' and '.join(CARD)} beside OUTPUT, and over it; end it in .onnx"
        )


def write_card(path: Path) -> None:
    """Write the model card of a file, and its picture, beside it."""
    from cgan_export.evaluation.model_card import card_of, sheet_of
    from cgan_runtime.files import atomic_write

    picture = path.with_suffix(".png")
    text = card_of(path, picture.name)
    for place, content in ((picture, sheet_of(path)), (path.with_suffix(".md"), text.encode())):
        with atomic_write(place) as file:
            file.write(content)


def main() -> None:
    """Run cgan-export and leave with its exit code."""
    conventions.run(command)
