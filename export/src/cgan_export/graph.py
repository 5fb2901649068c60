"""From a trained generator to an ONNX graph that follows the model contract."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from cgan_export.fold import without_batch_norm
from cgan_runtime.contract import BATCH, IMAGE, IR_VERSION, LABEL, NOISE, OPSET
from cgan_training.networks import Generator, to_uint8

TRACED_BATCH = 3  # any but 0 and 1, which torch.export would take for constants


class ContractGenerator(nn.Module):
    """The generator with the contract's inputs and output.

    The first layer on [noise; one-hot label] is a matrix product on the noise plus one row,
    picked by the label, of a table that holds the label's weights and the bias. So the graph
    needs no one-hot vector, and nothing is computed for the labels that were not asked for.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        layers = without_batch_norm(generator.layers)
        first = layers[0]
        if not isinstance(first, nn.Linear):
            raise TypeError("the generator's first layer must be linear")
        noise_weight, label_weight = first.weight.split(
            [generator.noise_dim, generator.classes], dim=1
        )
        self.height, self.width = generator.height, generator.width
        self.noise_weight = nn.Parameter(noise_weight.detach().T.contiguous())  # [noise_dim, units]
        self.label_table = nn.Parameter((label_weight.T + first.bias).detach())  # [classes, units]
        self.rest = layers[1:]

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Draw uint8 [batch, 1, h, w] from float32 [batch, noise_dim] and int64 [batch]."""
        image = torch.tanh(self.rest(self.hidden(noise, label)))  # [batch, h*w]
        return to_uint8(image.reshape(-1, 1, self.height, self.width))  # [batch, 1, h, w]

    def hidden(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return what the first layer gives: float32 [batch, units]."""
        return noise @ self.noise_weight + embedding(label, self.label_table)


def to_onnx(module: ContractGenerator) -> onnx.ModelProto:
    """Trace a generator into an ONNX model without metadata.

    Args:
        module: made of a generator in eval mode, float32, on the CPU.

    Returns:
        The model, with nothing in it of the machine that traced it.
    """
    module = module.eval()
    noise = torch.zeros(TRACED_BATCH, module.noise_weight.shape[0])
    label = torch.zeros(TRACED_BATCH, dtype=torch.int64)
    batch = torch.export.Dim(BATCH, min=1)
    with _silence():
        program = torch.onnx.export(
            module,
            (noise, label),
            input_names=[NOISE, LABEL],
            output_names=[IMAGE],
            dynamic_shapes=({0: batch}, {0: batch}),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return _cleaned(program.model_proto)


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
