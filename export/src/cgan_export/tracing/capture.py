"""Capture of the operators that a generator computes for a batch of any size."""

import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from cgan_export.errors import ExportError
from cgan_export.tracing.constants import with_numbers
from cgan_export.tracing.fixed_batch import with_any_batch
from cgan_export.tracing.functions import replaced_functions
from cgan_export.tracing.networks import TraceableGenerator
from cgan_export.tracing.selection import without_positions
from cgan_runtime.model_file.contract import BATCH_AXIS
from cgan_training.errors import one_line
from cgan_training.user_code import is_user_file

_REASONS = {  # parts of torch's messages
    "Constraints violated": "the batch size becomes a constant",
    "data-dependent": "its control flow depends on the values of a tensor",
}
_CODE = re.compile(r'File "([^"]+)", line (\d+), in .*\n *(.+)')


def export(
    module: nn.Module, inputs: tuple[Tensor, Tensor], *, strict: bool = False
) -> ExportedProgram:
    """Return the operators that a module computes for a batch of any size."""
    shapes = tuple({0: Dim(BATCH_AXIS, min=1)} for _ in inputs)
    return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=strict)


def capture(module: TraceableGenerator, inputs: tuple[Tensor, Tensor]) -> ExportedProgram:
    """Return the operators that a module computes, whatever its code looks like.

    The first attempt runs the module. The second one interprets its bytecode, which also follows
    len() of a tensor and some control flow. The third one runs it for one batch size.

    Raises:
        ExportError: all of them fail.
    """
    with replaced_functions():
        traced = with_numbers(module, inputs)
    attempts: tuple[Callable[[], ExportedProgram], ...] = (
        lambda: export(traced, inputs),
        lambda: export(traced, inputs, strict=True),
        lambda: export(with_any_batch(traced, module.noise_dim), inputs),
    )
    errors = []
    for attempt in attempts:
        try:
            with replaced_functions():
                program = attempt()
            changed = without_positions(program)
            return export(changed, inputs) if changed else program
        except Exception as error:  # noqa: BLE001, PERF203 - torch raises many types
            errors.append(error)
    raise ExportError(
        f"the generator cannot be traced{_place(errors)}: {_reason(errors[0])}; its operators must "
        "not depend on the values of noise and label, nor on the batch size; replace an if by "
        "torch.where(), a loop over images by operators on the batch; remove checks of values"
    ) from errors[0]


def _reason(error: Exception) -> str:
    texts = (text for part, text in _REASONS.items() if part in str(error))
    return next(texts, one_line(error))


def _place(errors: list[Exception]) -> str:
    """Return the line of the user's code that cannot be traced, if torch names it."""
    lines = [line for error in errors for line in _CODE.findall(str(error))]
    own = [line for line in lines if is_user_file(line[0])]
    return " at {}:{}, `{}`".format(Path(own[-1][0]).name, *own[-1][1:]) if own else ""
