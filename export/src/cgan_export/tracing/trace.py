"""From a trained generator to an ONNX graph that follows the model contract."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn.functional import embedding

from cgan_export.errors import ExportError
from cgan_export.passes.fold_batchnorm import fold_batch_norm
from cgan_runtime.model_file.contract import BATCH, IMAGE, IR_VERSION, LABEL, NOISE, OPSET
from cgan_training.networks import Generator

INK = "ink"  # the image as float32 in 0 .. 1, before it becomes bytes
TRACED_BATCH = 3  # any but 0 and 1, which torch.export would take for constants


class ContractGenerator(nn.Module):
    """The generator with the contract's inputs and output.

    The first layer on [noise; one-hot label] is a matrix product on the noise plus one row,
    picked by the label, of a table that holds the label's weights and the bias. So the graph
    needs no one-hot vector, and nothing is computed for the labels that were not asked for.

    The image is 255 * (tanh(x) + 1) / 2, which is 255 * sigmoid(2 x): the last layer's weights
    are doubled, and a sigmoid quantised in steps of 1/255 is the whole head.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        layers = fold_batch_norm(generator.layers)
        first = layers[0]
        if not isinstance(first, nn.Linear):
            raise TypeError("the generator's first layer must be linear")
        noise_weight, label_weight = first.weight.split(
            [generator.noise_dim, generator.classes], dim=1
        )
        self.height, self.width = generator.height, generator.width
        self.noise_weight = nn.Parameter(noise_weight.detach().T.contiguous())  # [noise_dim, units]
        self.label_table = nn.Parameter((label_weight.T + first.bias).detach())  # [classes, units]
        self.rest = nn.Sequential(*list(layers)[1:])
        last = [layer for layer in self.rest if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.mul_(2)  # exact

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return ink / 255, float32 [batch, 1, h, w] in 0 .. 1.

        Args:
            noise: float32 [batch, noise_dim].
            label: int64 [batch].
        """
        logit = self.rest(self.hidden(noise, label))
        if logit.ndim == 2:
            logit = logit.reshape(-1, 1, self.height, self.width)
        return torch.sigmoid(logit)

    def hidden(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return what the first layer gives: float32 [batch, units]."""
        return torch.addmm(embedding(label, self.label_table), noise, self.noise_weight)


def to_onnx(module: ContractGenerator, opset: int = OPSET) -> onnx.ModelProto:
    """Trace a generator into an ONNX model without metadata.

    Args:
        module: made of a generator in eval mode, float32, on the CPU.
        opset: of ONNX's operators.

    Returns:
        The model, with nothing in it of the machine that traced it.

    Raises:
        ExportError: torch's exporter does not find what it needs in onnxscript.
    """
    module = module.eval()
    noise = torch.zeros(TRACED_BATCH, module.noise_weight.shape[0])
    label = torch.zeros(TRACED_BATCH, dtype=torch.int64)
    batch = torch.export.Dim(BATCH, min=1)
    try:
        with _silence():
            program = torch.onnx.export(
                module,
                (noise, label),
                input_names=[NOISE, LABEL],
                output_names=[INK],
                dynamic_shapes=({0: batch}, {0: batch}),
                opset_version=opset,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except ImportError as error:  # each torch asks for a module of its own there
        raise ExportError(
            f"onnxscript is too old for torch {torch.__version__}, or broken ({error}); "
            "pip install --upgrade onnxscript"
        ) from error
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return _cleaned(_with_bytes(program.model_proto))


def _with_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let the graph end in bytes: ink in steps of 1/255, rounded half to even."""
    graph = model.graph
    node, initializers = quantize_linear(INK, IMAGE, 1 / 255, 0)
    graph.node.append(node)
    graph.initializer.extend(initializers)
    graph.output[0].name = IMAGE
    graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    return model


def quantize_linear(
    source: str, target: str, scale: float, zero_point: int
) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """Return a QuantizeLinear to uint8, with its scale and zero point as initializers."""
    names = [f"{target}_scale", f"{target}_zero_point"]
    values = (np.float32(scale), np.uint8(zero_point))
    node = helper.make_node("QuantizeLinear", [source, *names], [target], f"quantize_{target}")
    return node, [
        numpy_helper.from_array(np.array(value), name)
        for value, name in zip(values, names, strict=True)
    ]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's progress, advice and warnings off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _cleaned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what torch writes about its own insides: stack traces, absolute paths, docs."""
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "cgan-export", ""
    model.doc_string = model.graph.doc_string = ""
    model.graph.name = "generator"
    del model.metadata_props[:], model.graph.metadata_props[:], model.graph.value_info[:]
    for part in (
        *model.graph.node,
        *model.graph.initializer,
        *model.graph.input,
        *model.graph.output,
    ):
        del part.metadata_props[:]
        part.doc_string = ""
    return model
