"""Capture the operators of a generator for a batch of any size."""

import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from cgan_export.errors import ExportError
from cgan_export.tracing.fixed_batch import generalize_batch_size
from cgan_export.tracing.function_replacements import replace_untraceable_functions
from cgan_export.tracing.label_indexing import replace_batch_indices
from cgan_export.tracing.networks import TraceableGenerator
from cgan_export.tracing.number_replay import replay_numbers
from cgan_runtime.model_file.contract import BATCH_AXIS
from cgan_training.errors import one_line
from cgan_training.user_code import is_user_file

_REASONS = {  # parts of torch's messages
    "Constraints violated": "the batch size becomes a constant",
    "data-dependent": "its control flow depends on the values of a tensor",
}
_CODE = re.compile(r'File "([^"]+)", line (\d+), in .*\n *(.+)')


def export_program(
    module: nn.Module, inputs: tuple[Tensor, Tensor], *, strict: bool = False
) -> ExportedProgram:
    """Run torch.export with a batch of any size."""
    shapes = tuple({0: Dim(BATCH_AXIS, min=1)} for _ in inputs)
    return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=strict)


def capture(module: TraceableGenerator, inputs: tuple[Tensor, Tensor]) -> ExportedProgram:
    """Capture the operators of a module for a batch of any size.

    Three strategies are tried in this order:

    1. torch.export's non-strict mode runs the module.
    2. Its strict mode interprets the bytecode, so it can follow len() of a tensor and some
       control flow.
    3. fixed_batch.py traces the module with one batch size and generalizes the result.

    Raises:
        ExportError: all strategies fail. The message contains the reason of the first one.
    """
    with replace_untraceable_functions():
        replayed = replay_numbers(module, inputs)
    strategies: tuple[Callable[[], ExportedProgram], ...] = (
        lambda: export_program(replayed, inputs),
        lambda: export_program(replayed, inputs, strict=True),
        lambda: export_program(generalize_batch_size(replayed, module.noise_dim), inputs),
    )
    errors = []
    for strategy in strategies:
        try:
            with replace_untraceable_functions():
                program = strategy()
            rewritten = replace_batch_indices(program)
            return export_program(rewritten, inputs) if rewritten else program
        except Exception as error:  # noqa: BLE001, PERF203 - torch raises many types
            errors.append(error)
    raise ExportError(
        f"the generator cannot be traced{_place(errors)}: {_reason(errors[0])}; its operators must "
        "not depend on the values of noise and label, nor on the batch size; replace `if` with "
        "torch.where() and loops over images with operators on the batch, and remove checks of "
        "values"
    ) from errors[0]


def _reason(error: Exception) -> str:
    texts = (text for part, text in _REASONS.items() if part in str(error))
    return next(texts, one_line(error))


def _place(errors: list[Exception]) -> str:
    """Return the line of the user's code that cannot be traced, if torch names it."""
    lines = [line for error in errors for line in _CODE.findall(str(error))]
    lines = [line for line in lines if is_user_file(line[0])]
    if not lines:
        return ""
    file, number, code = lines[-1]
    return f" at {Path(file).name}:{number}, `{code}`"
