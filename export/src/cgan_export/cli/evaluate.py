"""The command cgan-eval."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cgan_export.cli import options
from cgan_export.cli.modules import is_module_name
from cgan_export.cli.pictures import write_pictures
from cgan_export.cli.table import format_table
from cgan_export.evaluation.metrics import METRICS
from cgan_runtime.cli import runner
from cgan_runtime.errors import printable
from cgan_runtime.files import make_folder
from cgan_runtime.model_file.contract import REFERENCE_SEED
from cgan_training.cli.common import limit_threads, log_to_stderr, prepare_for_torch
from cgan_training.model_path import find_model

if TYPE_CHECKING:
    from cgan_export.evaluation.evaluator import Evaluation
    from cgan_export.evaluation.image_sources import ImageSource

# Not the docstring: python -OO removes docstrings.
HELP = """\
Measure the quality of the images that MODEL generates. MODEL is a model.pt, a run directory or an
.onnx file.

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


@click.command("cgan-eval", help=HELP, epilog=EXAMPLES, context_settings=runner.CONTEXT_SETTINGS)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="Second model to measure, shown in a second column.",
)
@options.generator
@options.dataset(
    "Dataset for the evaluation, as in cgan-train. Required for a model that was trained on a "
    "function of yours, and for an .onnx file of a model that was trained on a folder or an .npz "
    "file."
)
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
    "image per class, and images of MODEL with wrong labels.",
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
@options.quiet("the metrics")
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
        if is_module_name(path):
            raise click.UsageError(
                f"{path} is a module; export it with cgan-export, and evaluate the .onnx file"
            )
        if path.suffix.lower() != ".onnx":
            find_model(path)  # before torch is imported, which takes seconds

    from cgan_export.evaluation.datasets import (
        load_evaluation_data,
        note_other_dataset,
        require_fit,
    )
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
        note_other_dataset(other, data.train)
    if output is not None:
        make_folder(output)
    evaluator = Evaluator(data, cache_dir)
    if controls:
        sources += [
            ImageSource(name, first.dataset, first.class_names, first.shape, generate)
            for name, generate in make_controls(evaluator.train, first.generate).items()
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
    """Open a model. For an unknown kind of file, the error lists the kinds that MODEL may be."""
    from cgan_export.evaluation.image_sources import open_source
    from cgan_training.errors import ModelFileError
    from cgan_training.model_file import REMEDY

    try:
        return open_source(path, seed, threads, generator)
    except ModelFileError as error:
        if not str(error).endswith(REMEDY):
            raise
        remedy = "give a model.pt, its run directory or an .onnx file"
        raise ModelFileError(f"{error.problem}; {remedy}") from error


def results_table(results: "list[Evaluation]", class_names: tuple[str, ...]) -> str:
    """Format the metrics as a table with one model per column."""
    rows = [["", *(printable(each.name) for each in results)]]
    for key, metric in METRICS.items():
        if key in results[0].metrics:
            name = f"{metric.title} ({metric.better})" if metric.better else metric.title
            rows.append([name, *(_cell(each, key, metric.format) for each in results)])
    for label, name in enumerate(class_names):
        accuracies = (each.accuracy_by_label[label] for each in results)
        cells = (_format(accuracy, ".2%") for accuracy in accuracies)
        rows.append([f"label accuracy of {printable(name)}", *cells])
    return format_table(rows)


def _cell(evaluation: "Evaluation", key: str, format_: str) -> str:
    """Format the mean of a metric, and its standard deviation if there are several image sets."""
    mean, deviation = _format(evaluation.metrics[key], format_), evaluation.deviations.get(key)
    return mean if deviation is None else f"{mean} ± {deviation:{format_}}"


def _format(value: float | None, format_: str) -> str:
    """Format a value, or return a dash if it is undefined."""
    return "-" if value is None else f"{value:{format_}}"


def main() -> None:
    """Run cgan-eval and exit with its exit code."""
    runner.run(command)
