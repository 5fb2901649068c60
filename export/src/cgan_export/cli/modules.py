"""Check the options of cgan-export that describe a user's module, and load the module."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cgan_runtime.errors import printable
from cgan_training.model_path import find_model
from cgan_training.user_code import explain_file_name, is_user_code

if TYPE_CHECKING:
    from torch import nn

    from cgan_export.source.generator_source import GeneratorSource

OPTIONS = ("noise_dim", "classes", "class_names", "value_range", "weights")
OWN_WEIGHTS_REMEDY = (  # for a file with weights that cgan-train did not write
    "for the weights of your own network, name its code: cgan-export my_module:generator OUTPUT "
    "--weights {weights} --noise-dim N --classes N"
)


@dataclass(frozen=True)
class ModuleOptions:
    """The options that name or describe the user's code. An option that is not given is None."""

    generator: str | None  # name of the generator class that a model.pt was trained with
    noise_dim: int | None
    classes: int | None
    class_names: Path | None
    value_range: tuple[float, float] | None
    weights: Path | None


def is_module_name(model: Path) -> bool:
    """Return whether MODEL names a module, such as my_module:generator, and not a file."""
    return is_user_code(str(model)) and not os.path.lexists(model)


def check_module_options(model: Path, options: ModuleOptions) -> None:
    """Check that the options fit MODEL, and that it exists if it is a file.

    Raises:
        click.UsageError: an option does not fit, or is missing.
        ModelFileError: the file does not exist.
    """
    name = printable(str(model))
    if (advice := explain_file_name(name)) is not None:
        raise click.UsageError(f"MODEL {name!r} is a Python file, not a module; {advice}")
    if not is_module_name(model):
        given = [name for name in OPTIONS if getattr(options, name) is not None]
        if given:
            flag = f"--{given[0].replace('_', '-')}"
            advice = "write my_module:NAME for a module"
            if os.path.lexists(model):
                advice = f"remove {flag}, or {OWN_WEIGHTS_REMEDY.format(weights=name)}"
            raise click.UsageError(
                f"{flag} requires MODEL in the form my_module:generator, got {name!r}; {advice}"
            )
        find_model(model)
        return
    if options.generator is not None:
        raise click.UsageError(f"--generator is for a model.pt, but MODEL {model} is a module")
    if options.noise_dim is None:
        raise click.UsageError(f"{model} needs --noise-dim, the length of its noise vector")
    if (options.classes is None) == (options.class_names is None):
        raise click.UsageError(
            f"{model} needs either --class-names, a file with one name per line, or --classes"
        )


def load_module(name: str, options: ModuleOptions, dataset: str | None) -> "GeneratorSource":
    """Import a module of the user, load its weights, and check it.

    Args:
        name: the name of an nn.Module, or of a function without arguments that returns one, such
            as "my_module:generator".
        options: the options, which check_module_options() accepted.
        dataset: name or path of the dataset that the module was trained on.

    Raises:
        cgan_runtime.CganError: the import, the weights or a check fails.
    """
    from cgan_export.source.generator_source import TANH_RANGE
    from cgan_export.source.module_source import source_of_module
    from cgan_export.source.weights import load_weights
    from cgan_training.data.class_names import read_class_names
    from cgan_training.errors import DatasetError

    if options.class_names:
        names = read_class_names(options.class_names)
        if names is None:
            raise DatasetError(f"there is no file {options.class_names}; check --class-names")
    else:
        names = tuple(map(str, range(options.classes or 0)))
    module = _instantiate(name)
    if options.weights:
        load_weights(module, name, options.weights)
    return source_of_module(
        module,
        name=name,
        noise_dim=options.noise_dim or 0,
        class_names=names,
        value_range=options.value_range or TANH_RANGE,
        dataset=Path(dataset).name if dataset else "",
    )


def _instantiate(name: str) -> "nn.Module":
    """Import an nn.Module, or call the imported function or class that returns one."""
    from torch import nn

    from cgan_export.errors import ExportError
    from cgan_training.errors import one_line
    from cgan_training.user_code import import_object, place_of

    value: Any = import_object(name)
    if not isinstance(value, nn.Module):
        if not callable(value):
            kind = type(value).__name__
            raise ExportError(
                f"{name} is a {kind}; give an nn.Module, or a function without arguments that "
                "returns one"
            )
        is_class = isinstance(value, type)
        try:
            value = value()
        except Exception as error:
            raise ExportError(
                f"{name}() fails{place_of(error)}: {printable(one_line(error))}; give a function "
                "without arguments that returns the nn.Module"
            ) from error
        if is_class and isinstance(value, nn.Module):
            value.eval()  # the user cannot call eval() on an instance that is created here
    if not isinstance(value, nn.Module):
        raise ExportError(
            f"{name}() returned a {type(value).__name__}; return an nn.Module in eval mode"
        )
    return value
