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
from cgan_runtime.model_file.contract import BATCH_AXIS, IMAGE, IR_VERSION, LABEL, NOISE, OPSET
from cgan_training.networks import Generator

FLOAT_IMAGE = "float_image"  # tensor of the image before quantization to uint8, float32 in 0 .. 1
TRACED_BATCH = 3  # torch.export would treat a batch size of 0 or 1 as constant


class ContractGenerator(nn.Module):
    """A generator with the inputs and the output of the model contract.

    The first layer is applied to [noise; one-hot label]. Here it is a matrix multiplication with
    the noise plus one row of a table, which contains the label's weights and the bias. The graph
    therefore needs no one-hot vector and computes nothing for the other labels.

    The image is 255 * (tanh(x) + 1) / 2, which equals 255 * sigmoid(2 x). The weights of the last
    layer are doubled, so quantizing the sigmoid with the scale 1/255 yields the pixels.
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
        self.image_shape = generator.image_shape
        self.noise_weight = nn.Parameter(noise_weight.detach().T.contiguous())  # [noise_dim, units]
        self.label_table = nn.Parameter((label_weight.T + first.bias).detach())  # [classes, units]
        self.rest = nn.Sequential(*list(layers)[1:])
        last = [layer for layer in self.rest if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.mul_(2)  # exact

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return the image in 0 .. 1, float32 [batch, channels, height, width].

        Args:
            noise: float32 [batch, noise_dim].
            label: int64 [batch].
        """
        logit = self.rest(self.hidden(noise, label))
        if logit.ndim == 2:
            logit = logit.reshape(-1, *self.image_shape)
        return torch.sigmoid(logit)

    def hidden(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return the output of the first layer, float32 [batch, units]."""
        return torch.addmm(embedding(label, self.label_table), noise, self.noise_weight)


def export_to_onnx(module: ContractGenerator, opset: int = OPSET) -> onnx.ModelProto:
    """Trace a generator to an ONNX model without metadata.

    Args:
        module: float32, on the CPU, made from a generator in eval mode.
        opset: ONNX opset version.

    Returns:
        The model. It contains no information about the machine, such as paths.

    Raises:
        ExportError: the installed onnxscript does not work with the installed torch.
    """
    module = module.eval()
    noise = torch.zeros(TRACED_BATCH, module.noise_weight.shape[0])
    label = torch.zeros(TRACED_BATCH, dtype=torch.int64)
    batch = torch.export.Dim(BATCH_AXIS, min=1)
    try:
        with _silence():
            program = torch.onnx.export(
                module,
                (noise, label),
                input_names=[NOISE, LABEL],
                output_names=[FLOAT_IMAGE],
                dynamic_shapes=({0: batch}, {0: batch}),
                opset_version=opset,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except ImportError as error:  # torch.onnx needs a matching onnxscript
        raise ExportError(
            f"onnxscript is too old for torch {torch.__version__}, or broken ({error}); "
            "pip install --upgrade onnxscript"
        ) from error
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return _cleaned(_with_uint8_output(program.model_proto))


def _with_uint8_output(model: onnx.ModelProto) -> onnx.ModelProto:
    """Quantize the graph's output to uint8 with the scale 1/255, rounding half to even."""
    graph = model.graph
    scale, zero_point = f"{IMAGE}_scale", f"{IMAGE}_zero_point"
    graph.node.append(
        helper.make_node(
            "QuantizeLinear", [FLOAT_IMAGE, scale, zero_point], [IMAGE], f"quantize_{IMAGE}"
        )
    )
    graph.initializer.append(numpy_helper.from_array(np.array(1 / 255, np.float32), scale))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.uint8), zero_point))
    graph.output[0].name = IMAGE
    graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    return model


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Suppress the exporter's progress messages and warnings."""
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
    """Remove the stack traces, absolute paths and documentation that torch adds."""
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "cgan-export", ""
    model.doc_string = model.graph.doc_string = ""
    graph = model.graph
    graph.name = "generator"
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    return model
