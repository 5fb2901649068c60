"""The option --c of cgan-export."""

from pathlib import Path

import click

from cgan_export.cli.modules import is_module_name
from cgan_export.cli.options import given_options
from cgan_export.cli.outputs import require_writable
from cgan_export.targets.c import c_files
from cgan_runtime.cli import runner
from cgan_runtime.errors import OutputError, printable
from cgan_training.model_path import find_model

# The only parameters that may be given with an .onnx MODEL, as given_options() returns them.
ONNX_PARAMETERS = {"--model", "--c-folder", "--as-json", "--quiet", "--debug"}
C_FILE_START = b"/* cgan-export "  # first bytes of the source and header that cgan-export writes


def export_onnx_to_c(model: Path, folder: Path | None, *, as_json: bool, quiet: bool) -> None:
    """Write an existing int8 file as C and print the report."""
    find_model(model)
    if folder is None:
        raise click.UsageError(
            f"MODEL {model} is an .onnx file already; give the model.pt of a run or its run "
            "directory to export it, or --c DIR to write an int8 file as C"
        )
    if given_options(click.get_current_context()) - ONNX_PARAMETERS:
        raise click.UsageError(
            f"MODEL {model} is an .onnx file, so --c takes no OUTPUT and no options other "
            "than --json, --quiet and --debug; omit OUTPUT and the other options, or give a "
            "model.pt or a run directory"
        )
    check_c_files(model, folder)
    from cgan_export.targets.c.source import write_c

    values = {"path": str(model), **write_c(model, folder)}
    text = (
        f"C source: {printable(values['c'])}, about {values['c_constant_bytes']:,} bytes of "
        f"constants, {values['c_stack_bytes']:,} bytes of stack"
    )
    runner.echo_report([values], text, as_json=as_json, quiet=quiet)


def check_c_option(folder: Path | None, outputs: dict[str, Path], model: Path) -> None:
    """Check --c, if it is given, before an export.

    Raises:
        click.UsageError: --c does not fit MODEL or --precision.
        OutputError: the C files cannot be written.
    """
    if folder and is_module_name(model):
        raise click.UsageError(f"--c writes generators of cgan-train only, and MODEL is {model}")
    if folder and "int8" not in outputs:
        raise click.UsageError("--c writes an int8 file as C; add --precision int8")
    if folder:
        check_c_files(outputs["int8"], folder)


def check_c_files(path: Path, folder: Path) -> None:
    """Raise OutputError if the C files of an .onnx file cannot be written to a folder.

    The files and the folder need not exist. The check fails if a source or header exists that
    cgan-export did not write.
    """
    files = c_files(path, folder)
    for file in files:
        require_writable(file, creates_folders=True)
    for file in filter(Path.exists, files[:2]):  # the source and the header
        with file.open("rb") as existing:
            if existing.read(len(C_FILE_START)) != C_FILE_START:
                raise OutputError(f"{file} is not a file of cgan-export; choose another folder")
