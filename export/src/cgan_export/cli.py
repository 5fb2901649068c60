"""The command cgan-export."""

from pathlib import Path

import click

from cgan_export import __version__
from cgan_export.errors import ExportError
from cgan_runtime import commands
from cgan_runtime.errors import CganRuntimeError
from cgan_training.errors import TrainingError

EXAMPLES = """\b
Examples:
  cgan-export runs/digits/model.pt digits.onnx
  cgan-export runs/digits digits.onnx && cgan-run --model digits.onnx --digit 9
"""


@click.command("cgan-export", epilog=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, message="%(prog)s %(version)s")
def command(model: Path, output: Path, debug: bool) -> None:
    """Export MODEL, a model.pt or its run directory, to the ONNX file OUTPUT.

    OUTPUT is written only after it was checked and drew the same digits, to one grey level, as
    the trained network does.
    """
    from cgan_export.export import export_model

    report = export_model(model, output)
    click.echo(
        f"{report.path}\n"
        f"  size        {report.size_bytes:,} bytes\n"
        f"  parameters  {report.parameters:,}\n"
        f"  opset       {report.opset}\n"
        f"  difference  at most {report.largest_difference} of 255 grey levels from torch, "
        f"in {report.images_compared} images\n"
        f"  seconds     {report.seconds:.1f}"
    )


def main() -> None:
    """Run cgan-export and leave with its exit code."""
    commands.run(command, (ExportError, TrainingError, CganRuntimeError))
