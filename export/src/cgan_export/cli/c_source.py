"""The option --c of cgan-export."""

import os
from pathlib import Path

import click
from click.core import ParameterSource

from cgan_export.cli.modules import names_module
from cgan_export.targets.c import c_files
from cgan_runtime.cli import runner
from cgan_runtime.errors import OutputError, printable
from cgan_training.model_path import find_model


def export_onnx_to_c(model: Path, folder: Path | None, *, as_json: bool) -> None:
    """Write an existing int8 file as C and print the report."""
    context = click.get_current_context()
    given = {
        each
        for each in context.params
        if context.get_parameter_source(each) is ParameterSource.COMMANDLINE
    }
    find_model(model)
    if folder is None:
        raise click.UsageError(
            f"MODEL {model} is an .onnx file already; give the model.pt of a run or its run "
            "directory to export it, or --c DIR to write an int8 file as C"
        )
    if given - {"model", "c_folder", "as_json", "debug"}:
        raise click.UsageError(
            f"MODEL {model} is an .onnx file, which --c writes as C without OUTPUT and any option "
            "but --json; omit them, or give a model.pt or a run directory"
        )
    check_c_files(model, folder, [model])
    from cgan_export.targets.c.source import write_c

    source = write_c(model, folder)
    values = {"path": str(model), "c": str(source)}
    click.echo(runner.json_text([values]) if as_json else f"C source: {printable(str(source))}")


def check_c_option(folder: Path | None, outputs: dict[str, Path], model: Path) -> None:
    """Check --c, if it is given, before an export; raise what check_c_files() raises."""
    if folder and names_module(model):
        raise click.UsageError(f"--c writes generators of cgan-train only, and MODEL is {model}")
    if folder and "int8" not in outputs:
        raise click.UsageError("--c writes an int8 file as C; add --precision int8")
    if folder:
        check_c_files(outputs["int8"], folder, [model, model / "model.pt", *outputs.values()])


def check_c_files(path: Path, folder: Path, others: list[Path]) -> None:
    """Check that the C files of an .onnx file can be written to a folder.

    Args:
        path: the .onnx file, which may not exist yet.
        folder: the folder, which may not exist yet.
        others: files that the C files must not replace.

    Raises:
        OutputError: the folder cannot be written, or has a file of another origin.
        click.UsageError: a C file would replace the model or OUTPUT.
    """
    for file in c_files(path, folder):
        ancestor = next(each for each in (file.parent, *file.parent.parents) if each.exists())
        if file.is_dir() or not ancestor.is_dir() or not os.access(ancestor, os.W_OK | os.X_OK):
            raise OutputError(f"--c cannot write {file}; choose another folder")
        if any(file.resolve() == each.resolve() for each in others):
            raise click.UsageError(f"--c would replace {file}; choose another folder or name")
        generated = file.suffix in (".c", ".h") and file.parent == folder
        if generated and file.exists() and not file.read_bytes().startswith(b"/* cgan-export "):
            raise OutputError(f"{file} is not a file of cgan-export; choose another folder")
