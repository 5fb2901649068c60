"""Turn a user's module into a GeneratorSource."""

import copy
import logging
from collections.abc import Sequence

import torch
from torch import nn

from cgan_export.passes.parametrizations import compute_weights
from cgan_export.source.call_forms import adapt
from cgan_export.source.generator_source import (
    TANH_RANGE,
    GeneratorSource,
    ValueRange,
    hash_weights,
)
from cgan_export.source.module_checks import (
    check_arguments,
    check_images,
    check_module,
    describe_unused_labels,
)

_logger = logging.getLogger(__name__)


def source_of_module(
    module: nn.Module,
    *,
    name: str,
    noise_dim: int,
    class_names: Sequence[str],
    value_range: ValueRange = TANH_RANGE,
    dataset: str = "",
) -> GeneratorSource:
    """Check a module, run it on every label, and return its GeneratorSource.

    export_generator() describes the arguments.

    Raises:
        ExportError: an argument or the module is not supported.
    """
    check_arguments(noise_dim, class_names, value_range)
    module = getattr(module, "_orig_mod", module)  # torch.compile() wraps the module
    check_module(module, name)
    generator = _copy(module)
    _logger.info("checking %s", name)
    classes = len(class_names)
    with torch.compiler.set_stance("force_eager"):
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            generator = adapt(generator, name, noise_dim, classes)
        image_shape, note = check_images(generator, name, noise_dim, classes, value_range)
        unused = describe_unused_labels(generator, noise_dim, classes)
    for text in filter(None, (note, unused)):
        _logger.info("note: %s", text)
    return GeneratorSource(
        generator=generator,
        name=name,
        noise_dim=noise_dim,
        class_names=tuple(class_names),
        image_shape=image_shape,
        value_range=(float(value_range[0]), float(value_range[1])),
        weights_sha256=hash_weights(module),
        dataset=dataset,
        recipe={"module": name},
        training={"versions": {"torch": torch.__version__}},
    )


def _copy(module: nn.Module) -> nn.Module:
    """Return a copy of a user's module in which parameters replace computed weights.

    A module that cannot be copied, for example because it holds an open file, is used unchanged.
    """
    # copy.deepcopy() cannot copy tensors that have a history, such as the weights of weight_norm.
    memo = {
        id(value): value.detach().clone()
        for layer in module.modules()
        for value in vars(layer).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    try:
        copied = copy.deepcopy(module, memo).requires_grad_(False)
    except Exception:  # noqa: BLE001 - any class may fail
        return module
    compute_weights(copied)
    return copied.requires_grad_(False)
