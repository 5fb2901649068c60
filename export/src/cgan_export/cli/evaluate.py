"""The command cgan-eval."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cgan_export import __version__
from cgan_runtime.cli import conventions
from cgan_training.cli.common import default_cache_dir, prepare_for_torch
from cgan_training.model_path import find_model

if TYPE_CHECKING:
    from cgan_export.evaluation.evaluator import Evaluation, Evaluator
    from cgan_export.evaluation.image_sources import ImageSource

# Not the docstring: python -OO drops those.
HELP = """\
Measure how good the digits are that MODEL draws: a model.pt, a run directory or an .onnx.

A judge, trained on the real training set at first use, reads 10,000 drawn images. Fréchet
distances are on a scale where the real test set's total variance is 100.
"""
EXAMPLES = """\b
Examples:
  cgan-eval runs/digits --data-dir ~/data
  cgan-eval digits.onnx --baseline runs/seed --output pictures
  cgan-eval digits.onnx --quick --json
  cgan-eval digits.onnx --quick --controls
  cgan-eval digits.onnx --quick --draws 4
"""
# The table's rows: name, what it is, how it is written, whether more is better.
ROWS = (
    ("label_accuracy", "label accuracy", "{:.2%}", "+"),
    ("worst_label_accuracy", "of the worst label", "{:.2%}", "+"),
    ("frechet", "Fréchet distance, test set", "{:.3f}", "-"),
    ("frechet_by_class", "by class", "{:.3f}", "-"),
    ("frechet_train", "training set", "{:.3f}", "-"),
    ("precision", "precision", "{:.3f}", "+"),
    ("recall", "recall", "{:.3f}", "+"),
    ("density", "density", "{:.3f}", "+"),
    ("coverage", "coverage", "{:.3f}", "+"),
    ("memorised", "memorised", "{:.2%}", "-"),
    ("cas", "classification accuracy", "{:.2%}", "+"),
    ("parzen", "Parzen log-likelihood", "{:.1f}", "+"),
    ("parzen_error", "its standard error", "{:.1f}", ""),
)


@click.command("cgan-eval", help=HELP, epilog=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--baseline", type=click.Path(path_type=Path), help="Measure this model too, side by side."
)
@click.option(
    "--dataset", help="What it learnt, where the model's own word for it does not find it."
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    envvar="CGAN_DATA_DIR",
    show_envvar=True,
    help="torchvision's root.",
)
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=default_cache_dir,
    show_default="~/.cache/cgan",
    help="Where the judge is kept.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=2014,
    show_default=True,
    help="Of the noise drawn from.",
)
@click.option(
    "--draws",
    type=click.IntRange(1, 20),
    default=1,
    show_default=True,
    help="Measure so many sets of images, and give means and standard deviations.",
)
@click.option("--quick", is_flag=True, help="Leave out what takes minutes: CAS and Parzen.")
@click.option(
    "--controls",
    is_flag=True,
    help="Measure sets of known worth too: real images, noisy ones, one repeated, wrong labels.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for pictures: a sheet, the confusion matrix, nearest training images.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads.  [default: all]")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, message="%(prog)s %(version)s")
def command(
    model: Path,
    baseline: Path | None,
    dataset: str | None,
    data_dir: Path,
    cache_dir: Path,
    seed: int,
    draws: int,
    quick: bool,
    controls: bool,
    as_json: bool,
    output: Path | None,
    threads: int | None,
    debug: bool,
) -> None:
    """Measure how good the digits are that MODEL draws."""
    prepare_for_torch()
    for path in filter(None, (model, baseline)):
        if path.suffix != ".onnx":
            find_model(path)  # before the seconds that torch takes to load
    import torch

    from cgan_export.evaluation.evaluator import Evaluator
    from cgan_export.evaluation.image_sources import ImageSource, open_source
    from cgan_training import evaluation

    if threads is not None:
        torch.set_num_threads(threads)
    drawers = [open_source(path, seed) for path in (model, baseline) if path is not None]
    first = drawers[0]
    examiner = Evaluator(
        dataset or first.dataset,
        data_dir,
        cache_dir,
        lambda line: click.echo(conventions.printable(line), err=True),
    )
    if controls:
        train = examiner.train
        known = evaluation.controls((train.images, train.labels), train.classes, first.draw)
        drawers += [
            ImageSource(name, first.dataset, first.class_names, first.shape, draw)
            for name, draw in known.items()
        ]
    found = [examiner.evaluate(each, quick=quick, draws=draws) for each in drawers]
    if output is not None:
        write_pictures(found[0], first, examiner, output)
    if as_json:
        answer = {
            "dataset": examiner.train.name,
            "judge_accuracy": round(examiner.judge_accuracy, 4),
            "draws": draws,
            "models": [each.to_dict() for each in found],
        }
        click.echo(conventions.json_text(answer))
    else:
        click.echo(table(found, first.class_names))


def table(found: "list[Evaluation]", class_names: tuple[str, ...]) -> str:
    """Lay the figures out in words, a column a model."""
    lines = [["", *(conventions.printable(each.name) for each in found)]]
    for key, name, form, better in ROWS:
        if key in found[0].figures:
            title = f"{name} ({better})" if better else name
            lines.append([title, *(_cell(each, key, form) for each in found)])
    for label, name in enumerate(class_names):
        accuracies = (each.accuracy_by_label[label] for each in found)
        lines.append([f"label accuracy of {name}", *map("{:.2%}".format, accuracies)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        ).rstrip()
        for line in lines
    )


def _cell(evaluation: "Evaluation", key: str, form: str) -> str:
    figure, deviations = form.format(evaluation.figures[key]), evaluation.deviations
    return f"{figure} ± {form.format(deviations[key])}" if key in deviations else figure


def write_pictures(
    evaluation: "Evaluation", drawer: "ImageSource", examiner: "Evaluator", folder: Path
) -> None:
    """Write the three pictures of a model."""
    from cgan_export.evaluation.pictures import confusion_picture, nearest_picture, sheet_picture
    from cgan_runtime.errors import OutputError
    from cgan_runtime.files import atomic_write

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}; choose another") from error
    names, name = drawer.class_names, conventions.printable(drawer.name)
    title = f"{name}, seed of the noise fixed"
    pictures = {
        "sheet.png": sheet_picture(evaluation, names, title),
        "confusion.png": confusion_picture(evaluation, names, name),
        "nearest.png": nearest_picture(
            evaluation,
            examiner.train.images,
            names,
            "drawn, and beside it the nearest training image of its label",
        ),
    }
    for picture, png in pictures.items():
        with atomic_write(folder / picture) as file:
            file.write(png)


def main() -> None:
    """Run cgan-eval and leave with its exit code."""
    conventions.run(command)
