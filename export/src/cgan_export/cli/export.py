"""The command cgan-export."""

import logging
import math
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cgan_export.cli import options
from cgan_export.cli.c_source import check_c_option, export_onnx_to_c
from cgan_export.cli.loading import load_data, load_source
from cgan_export.cli.modules import ModuleOptions, check_module_options
from cgan_export.cli.notes import collect_notes
from cgan_export.cli.outputs import check_output, output_paths
from cgan_export.cli.pictures import write_card
from cgan_runtime.cli import runner
from cgan_runtime.model_file.contract import MAX_CLASSES, MAX_OPSET, OPSET
from cgan_training.cli.common import limit_threads, log_to_stderr, prepare_for_torch
from cgan_training.recipe.schema import MAX_NOISE_DIM

if TYPE_CHECKING:
    from cgan_export.export import Gate, Measure
    from cgan_training.data import Dataset

_logger = logging.getLogger(__name__)
MAX_LOSS_POINTS = 50.0  # largest value of --max-accuracy-loss, in percentage points

# Not the docstring: python -OO removes docstrings.
HELP = """\
Export MODEL to the ONNX file OUTPUT, whose name ends in .onnx.

MODEL is a model.pt, its run directory, or a module of your own: my_module:generator names an
nn.Module in eval mode, or a function without arguments that returns one. Its forward(noise, label)
takes float32 [batch, noise_dim] and int64 [batch], and returns float32 [batch, channels, height,
width] with 1 or 3 channels.

To write an existing int8 .onnx file as C, give it as MODEL with --c and without OUTPUT.

OUTPUT is written only after verification: its images must match those of the network in PyTorch.
The max pixel error of an fp32 or fp16 file is at most 1, on the scale 0 to 255. An int8 file may
have larger errors. If it is bit-exact (every processor generates the same bytes), its images must
also match those that PyTorch computes with the same integers.
"""
EXAMPLES = """\b
Examples:
  cgan-export runs/mnist/model.pt digits.onnx
  cgan-export runs/mnist digits.onnx --precision int8 --evaluate --card
  cgan-export runs/mnist digits.onnx --triton repository
  cgan-export digits.onnx --c firmware
  cgan-export --generator my_module:MyGenerator runs/mine mine.onnx
  cgan-export my_module:generator mine.onnx --noise-dim 64 --class-names classes.txt
  cgan-export runs/mnist digits.onnx && cgan-run --model digits.onnx --digit 9
"""


def check_loss(_ctx: click.Context, param: click.Parameter, value: float) -> float:
    """Return a number in the option's range. Unlike click.FloatRange this rejects NaN."""
    if not 0 <= value <= MAX_LOSS_POINTS:
        raise click.UsageError(
            f"{param.opts[0]} must be a number from 0 to {MAX_LOSS_POINTS:g}, got {value}"
        )
    return value


def check_range(
    _ctx: click.Context, param: click.Parameter, value: tuple[float, float] | None
) -> tuple[float, float] | None:
    """Return LOW and HIGH if they are finite and in this order."""
    if value is not None and not -math.inf < value[0] < value[1] < math.inf:
        raise click.UsageError(
            f"{param.opts[0]} must be two finite numbers LOW < HIGH, got {value[0]:g} {value[1]:g}"
        )
    return value


def gated_precisions(precisions: AbstractSet[str], *, enabled: bool) -> AbstractSet[str]:
    """Return the precisions that the quality gate checks.

    Log a warning if --max-accuracy-loss is given, but the gate checks no precision.
    """
    gated = precisions - {"fp32"} if enabled else set()
    if not gated and "--max-accuracy-loss" in options.given_options(click.get_current_context()):
        reason = "checks only fp16 and int8 files" if enabled else "is off"
        _logger.warning("--max-accuracy-loss has no effect, because the quality gate %s", reason)
    return gated


@click.command("cgan-export", help=HELP, epilog=EXAMPLES, context_settings=runner.CONTEXT_SETTINGS)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path), required=False)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp32", "fp16", "int8"]),
    multiple=True,
    default=["fp32"],
    show_default=True,
    help="fp16 halves the size of the weights and computes in float32. int8 quarters their size "
    "and multiplies integers. Repeat the option to write several files, such as digits-fp32.onnx "
    "and digits-int8.onnx for the OUTPUT digits.onnx.",
)
@options.integer(
    "--opset",
    OPSET,
    MAX_OPSET,
    f"ONNX opset version, {OPSET} to {MAX_OPSET}.",
    default=OPSET,
    show_default=True,
)
@click.option(
    "--quality-gate/--no-quality-gate",
    default=True,
    show_default=True,
    help="For fp16 and int8: fail if the file's label accuracy is proven to be lower than that of "
    "the trained network by more than --max-accuracy-loss. The test compares up to 100,000 pairs "
    "of images, with an error level of 1%. It needs the dataset, and trains the evaluation "
    "classifier at first use.",
)
@click.option(
    "--max-accuracy-loss",
    type=float,
    callback=check_loss,
    default=0.1,
    show_default=True,
    metavar="POINTS",
    help="Largest loss of label accuracy that the quality gate accepts, in percentage points, 0 to "
    "50.",
)
@click.option(
    "--evaluate",
    is_flag=True,
    help="Measure the image quality and store the metrics in the file's metadata. The evaluation "
    "classifier is trained on the dataset at first use, which takes some minutes.",
)
@options.dataset(
    "Dataset for --evaluate and the quality gate, as in cgan-train. For a module, the dataset's "
    "name is also stored in the metadata."
)
@options.data_dir
@options.cache_dir
@options.generator
@options.integer(
    "--noise-dim", 1, MAX_NOISE_DIM, "For a module: length of its standard normal noise vector."
)
@options.integer(
    "--classes", 1, MAX_CLASSES, "For a module: number of classes, which are then named 0, 1, ..."
)
@click.option(
    "--class-names",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="For a module: the names of its classes, one per line, in UTF-8.",
)
@click.option(
    "--value-range",
    type=float,
    nargs=2,
    metavar="LOW HIGH",
    callback=check_range,
    help="For a module: the values of black and white in its images. Values outside this range "
    "are clipped.  [default: -1 1]",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="For a module: a file that torch.save() wrote, which holds its state dict or a checkpoint "
    "with it. The file must hold tensors and plain values only.",
)
@click.option(
    "--card",
    is_flag=True,
    help="Also write a model card and a sample sheet: OUTPUT with the suffixes .md and .png.",
)
@click.option(
    "--triton",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also add the file to DIR, a model repository of NVIDIA's Triton Inference Server, as the "
    "newest version of a model with OUTPUT's name.",
)
@click.option(
    "--c",
    "c_folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also write the int8 file as self-contained C99 to DIR, for microcontrollers and other "
    "programming languages. The C code generates the same bytes as cgan-run.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@options.threads(default="one per core")
@options.quiet("the report of --json")
@options.debug
@options.version
def command(
    model: Path,
    output: Path | None,
    precisions: tuple[str, ...],
    opset: int,
    quality_gate: bool,
    max_accuracy_loss: float,
    evaluate: bool,
    dataset: str | None,
    data_dir: Path | None,
    cache_dir: Path,
    generator: str | None,
    noise_dim: int | None,
    classes: int | None,
    class_names: Path | None,
    value_range: tuple[float, float] | None,
    weights: Path | None,
    card: bool,
    triton: Path | None,
    c_folder: Path | None,
    as_json: bool,
    threads: int | None,
    quiet: bool,
    debug: bool,
) -> None:
    """Export MODEL to the ONNX file OUTPUT."""
    if model.suffix.lower() == ".onnx" and not model.is_dir():
        export_onnx_to_c(model, c_folder, as_json=as_json, quiet=quiet)
        return
    prepare_for_torch()
    log_to_stderr("cgan_training", "cgan_export", quiet=quiet)
    notes = collect_notes("cgan_training", "cgan_export") if as_json else []
    # Check the arguments before torch is imported, which takes seconds.
    module_options = ModuleOptions(generator, noise_dim, classes, class_names, value_range, weights)
    check_module_options(model, module_options)
    outputs = output_paths(output, precisions)
    for path in outputs.values():
        check_output(path, model, card=card)
    check_c_option(c_folder, outputs, model)

    from cgan_export.cli.report import report_table, report_values
    from cgan_export.export import export_source
    from cgan_export.metadata import model_info
    from cgan_export.targets.c.source import write_c
    from cgan_export.targets.triton import check_repository, write_repository
    from cgan_runtime import ImageGenerator
    from cgan_runtime.diagnostics.speed import measure_speed

    limit_threads(threads)
    source = load_source(model, module_options, dataset)
    if triton:
        for precision, path in outputs.items():
            check_repository(path, triton, model_info(source, precision))
    gated = gated_precisions(outputs.keys(), enabled=quality_gate)
    gate = measure = None
    if gated or evaluate:
        train, test = load_data(source, dataset, data_dir, gated=bool(gated), evaluate=evaluate)
        gate, measure = _quality_functions(
            train, test, cache_dir, max_accuracy_loss / 100, evaluate=evaluate
        )
    files: list[dict[str, Any]] = []
    general_notes = notes.copy()
    for precision, path in outputs.items():
        notes.clear()
        report = export_source(
            source,
            path,
            precision=precision,
            opset=opset,
            gate=gate if precision in gated else None,
            measure=measure,
            threads=threads,
        )
        with ImageGenerator(path, provider="cpu", threads=1) as exported:
            speed = measure_speed(exported)
            values = report_values(report, speed)
            values["notes"] = [*general_notes, *notes]
            if card:
                write_card(exported, speed)
            if triton:
                values["triton"] = str(write_repository(path, triton, exported.info))
        if c_folder:
            values |= write_c(path, c_folder) if precision == "int8" else {"c": None}
        files.append(values)
    runner.echo_report(files, report_table(files), as_json=as_json, quiet=quiet)


def _quality_functions(
    train: "Dataset", test: "Dataset | None", cache_dir: Path, limit: float, *, evaluate: bool
) -> "tuple[Gate, Measure | None]":
    from cgan_export.evaluation.datasets import EvaluationData
    from cgan_export.evaluation.quality_gate import compare_accuracy, measure_quality

    gate = partial(compare_accuracy, data=train, test=test, cache_dir=cache_dir, max_loss=limit)
    if not evaluate or test is None:
        return gate, None
    data = EvaluationData(train, test)
    return gate, partial(measure_quality, data=data, cache_dir=cache_dir)


def main() -> None:
    """Run cgan-export and exit with its exit code."""
    runner.run(command)
