"""The command cgan-eval."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cgan_export.cli import options
from cgan_export.cli.modules import names_module
from cgan_export.cli.pictures import write_pictures
from cgan_export.cli.table import format_table
from cgan_export.evaluation.figures import FIGURES
from cgan_runtime.cli import runner
from cgan_runtime.errors import printable
from cgan_runtime.files import make_folder
from cgan_runtime.model_file.contract import REFERENCE_SEED
from cgan_training.cli.common import limit_threads, log_to_stderr, prepare_for_torch
from cgan_training.model_path import find_model

if TYPE_CHECKING:
    from cgan_export.evaluation.evaluator import Evaluation
    from cgan_export.evaluation.image_sources import ImageSource

_logger = logging.getLogger(__name__)
# Not the docstring: python -OO removes docstrings.
HELP = """\
Measure the quality of the images that MODEL generates: a model.pt, a run directory or an .onnx
file.

The evaluation classifier, which is trained on the real training set at first use, predicts the
labels of up to 10,000 generated images. Fréchet distances are scaled so that the total variance of
the real test set is 100. In the table, (+) means that higher is better, and (-) that lower is
better.
"""
EXAMPLES = """\b
Examples:
  cgan-eval runs/mnist --data-dir ~/data
  cgan-eval digits.onnx --baseline runs/classic --output pictures
  cgan-eval digits.onnx --quick --json
  cgan-eval digits.onnx --quick --controls
  cgan-eval digits.onnx --quick --repeats 4
"""


@click.command("cgan-eval", help=HELP, epilog=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="Second model to measure, shown side by side.",
)
@options.generator
@options.dataset
@options.data_dir
@options.cache_dir
@options.integer(
    "--seed", 0, options.MAX_INT64, "Seed of the noise.", default=REFERENCE_SEED, show_default=True
)
@options.integer(
    "--repeats",
    1,
    20,
    "Number of image sets to generate and evaluate, 1 to 20. The table shows means and standard "
    "deviations.",
    default=1,
    show_default=True,
)
@click.option(
    "--quick",
    is_flag=True,
    help="Skip the classification accuracy score, which takes minutes.",
)
@click.option(
    "--controls",
    is_flag=True,
    help="Also measure image sets of known quality: real images, noisy real images, one repeated "
    "image per class, and wrong labels.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for pictures: a sample sheet, the confusion matrix and the nearest training "
    "images.",
)
@options.threads(default="one per core")
@options.quiet("the figures")
@options.debug
@options.version
def command(
    model: Path,
    baseline: Path | None,
    generator: str | None,
    dataset: str | None,
    data_dir: Path | None,
    cache_dir: Path,
    seed: int,
    repeats: int,
    quick: bool,
    controls: bool,
    as_json: bool,
    output: Path | None,
    threads: int | None,
    quiet: bool,
    debug: bool,
) -> None:
    """Measure the quality of the images that MODEL generates."""
    prepare_for_torch()
    log_to_stderr("cgan_training", "cgan_export", quiet=quiet)
    for path in filter(None, (model, baseline)):
        if names_module(path):
            raise click.UsageError(
                f"{path} is a module; export it with cgan-export, and evaluate the .onnx file"
            )
        if path.suffix.lower() != ".onnx":
            find_model(path)  # before torch is imported, which takes seconds

    from cgan_export.evaluation.datasets import has_trained_on, load_evaluation_data, require_fit
    from cgan_export.evaluation.evaluator import Evaluator
    from cgan_export.evaluation.image_sources import ImageSource
    from cgan_training.evaluation.controls import make_controls

    limit_threads(threads)
    paths = [path for path in (model, baseline) if path is not None]
    sources = [open_model(path, seed, threads, generator) for path in paths]
    first = sources[0]
    data = load_evaluation_data(first, dataset, data_dir)
    for other in sources[1:]:
        require_fit(other, data.train)
        if not has_trained_on(other, data.train):
            _logger.info("note: %s was not trained on %s", other.name, data.train.source)
    if output is not None:
        make_folder(output)
    evaluator = Evaluator(data, cache_dir)
    if controls:
        functions = make_controls(evaluator.train, first.generate)
        sources += [
            ImageSource(name, first.dataset, first.class_names, first.shape, generate)
            for name, generate in functions.items()
        ]
    results = [evaluator.evaluate(each, quick=quick, repeats=repeats) for each in sources]
    if as_json:
        values = {
            "dataset": evaluator.train.name,
            "classifier_accuracy": round(evaluator.classifier_accuracy, 4),
            "repeats": repeats,
            "models": [each.to_dict() for each in results],
        }
        click.echo(runner.json_text(values))
    else:
        click.echo(results_table(results, first.class_names))
    if output is not None:
        write_pictures(results[0], first, evaluator, output)


def open_model(path: Path, seed: int, threads: int | None, generator: str | None) -> "ImageSource":
    """Open a model; the message about a file of another kind says what MODEL can be."""
    from cgan_export.evaluation.image_sources import open_source
    from cgan_training.errors import ModelFileError
    from cgan_training.model_file import REMEDY

    try:
        return open_source(path, seed, threads, generator)
    except ModelFileError as error:
        remedy = "give a model.pt, its run directory or an .onnx file"
        raise ModelFileError(str(error).replace(REMEDY, remedy)) from error


def results_table(results: "list[Evaluation]", class_names: tuple[str, ...]) -> str:
    """Format the figures as a table, one model per column."""
    rows = [["", *(printable(each.name) for each in results)]]
    for key, (title, better, form) in FIGURES.items():
        if key in results[0].figures:
            name = f"{title} ({better})" if better else title
            rows.append([name, *(_cell(each, key, form) for each in results)])
    for label, name in enumerate(class_names):
        accuracies = (each.accuracy_by_label[label] for each in results)
        cells = (_format(accuracy, ".2%") for accuracy in accuracies)
        rows.append([f"label accuracy of {printable(name)}", *cells])
    return format_table(rows)


def _cell(evaluation: "Evaluation", key: str, form: str) -> str:
    figure, deviation = _format(evaluation.figures[key], form), evaluation.deviations.get(key)
    return figure if deviation is None else f"{figure} ± {deviation:{form}}"


def _format(figure: float | None, form: str) -> str:
    """Format a figure; a dash stands for one that is undefined."""
    return "-" if figure is None else f"{figure:{form}}"


def main() -> None:
    """Run cgan-eval and exit with its exit code."""
    runner.run(command)
