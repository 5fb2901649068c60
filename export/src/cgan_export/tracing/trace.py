"""Trace a generator to an ONNX graph that follows the model contract."""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor
from torch.export import ExportedProgram

from cgan_export.errors import ExportError
from cgan_export.tracing.capture import capture, export_program
from cgan_export.tracing.constant_folding import ValueInterpreter, fold_constants
from cgan_export.tracing.decompositions import decompose
from cgan_export.tracing.networks import TraceableGenerator
from cgan_runtime.model_file.contract import BATCH_AXIS, IMAGE, IR_VERSION, LABEL, NOISE, OPSET
from cgan_runtime.model_file.validation.rules import OPERATORS
from cgan_training.errors import one_line

FLOAT_IMAGE = "float_image"  # tensor of the image before quantization to uint8, float32 in 0..span
TRACED_BATCH = 3  # torch.export would treat a batch size of 0 or 1 as constant
_RANDOM = re.compile("Random|Bernoulli|Multinomial|Dropout")
_SUBGRAPHS = onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS


def export_to_onnx(module: TraceableGenerator, opset: int = OPSET) -> onnx.ModelProto:
    """Trace a generator to an ONNX model without metadata.

    Args:
        module: float32, on the CPU, in eval mode.
        opset: ONNX opset version.

    Returns:
        The model. It contains no information about the machine, such as paths.

    Raises:
        ExportError: the module cannot be traced, or the installed onnxscript does not work with the
            installed torch.
    """
    return clean(_quantize_output(_trace(module, opset).model_proto, module.span))


def traced_values(
    module: TraceableGenerator, opset: int, noise: Tensor, label: Tensor
) -> dict[str, NDArray[Any]]:
    """Trace a generator and compute its intermediate tensors with PyTorch.

    Args:
        module: as for export_to_onnx().
        opset: ONNX opset version.
        noise: float32 [batch, noise_dim].
        label: int64 [batch].

    Returns:
        The tensors by their names in the ONNX model, in execution order.
    """
    program = _trace(module, opset).exported_program
    if program is None:
        return {}
    interpreter = ValueInterpreter(program.module())
    with torch.no_grad():
        image = interpreter.run(noise, label)
    values = {node.name: value.numpy() for node, value in interpreter.values.items()}
    return {**values, FLOAT_IMAGE: image.numpy()}


def _trace(module: TraceableGenerator, opset: int) -> torch.onnx.ONNXProgram:
    """Trace a generator; see export_to_onnx()."""
    inputs = torch.zeros(TRACED_BATCH, module.noise_dim), torch.zeros(TRACED_BATCH).long()
    try:
        with silence(), torch.no_grad():
            captured = capture(module, inputs)
            try:
                program = _convert(captured, inputs, opset)
            except torch.onnx.OnnxExporterError:
                folded = fold_constants(captured, inputs)
                if folded is None:
                    raise
                program = _convert(export_program(folded, inputs), inputs, opset)
    except ImportError as error:  # torch.onnx needs a matching onnxscript
        raise ExportError(
            f"onnxscript is too old for torch {torch.__version__}, or broken ({error}); "
            "run pip install --upgrade onnxscript"
        ) from error
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(
            f"the generator cannot be converted to ONNX: {_root_cause(error)}; replace the "
            "operator with operators that ONNX has"
        ) from error
    _check_operators(program.model_proto)
    return program


def _convert(
    program: ExportedProgram, inputs: tuple[Tensor, Tensor], opset: int
) -> torch.onnx.ONNXProgram:
    converted = torch.onnx.export(
        decompose(program),
        inputs,
        input_names=[NOISE, LABEL],
        output_names=[FLOAT_IMAGE],
        opset_version=opset,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    if converted is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return converted


def _check_operators(model: onnx.ModelProto) -> None:
    """Reject operators that the runtime does not accept, with a remedy in terms of PyTorch."""
    for node in model.graph.node:
        reason = ""
        if any(attribute.type in _SUBGRAPHS for attribute in node.attribute):
            reason = "contains a subgraph; remove loops, branches and nn.EmbeddingBag"
        elif node.op_type == "NonZero":
            reason = "selects elements with a mask; use torch.where() instead"
        elif _RANDOM.match(node.op_type):
            reason = "uses random numbers; take them from noise or from a registered buffer"
        if reason:
            raise ExportError(f"the generator needs the operator {node.op_type}, which {reason}")
        if any(
            each.name == "to" and each.i == onnx.TensorProto.BFLOAT16 for each in node.attribute
        ):
            raise ExportError(
                "the generator computes in bfloat16, which the runtime does not support; use "
                "float32 without torch.autocast()"
            )
    unknown = next((each.op_type for each in model.graph.node if each.op_type not in OPERATORS), "")
    if unknown:
        raise ExportError(
            f"the generator uses the operator {unknown}, which the model contract does not allow; "
            "docs/contract.md lists the operators"
        )


def _root_cause(error: BaseException) -> str:
    """Return the innermost cause of an error, and the operator that could not be converted."""
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    texts = [one_line(each) for each in causes if isinstance(each, Exception)]
    node = next((text for text in texts if "Error when translating node" in text), "")
    operator = node.partition("target=torch.ops.")[2].partition("]")[0]
    return f"{operator}: {texts[-1]}" if operator else texts[-1]


def _quantize_output(model: onnx.ModelProto, span: float) -> onnx.ModelProto:
    """Quantize the graph's output to uint8 with the scale span/255, rounding half to even."""
    graph = model.graph
    scale, zero_point = f"{IMAGE}_scale", f"{IMAGE}_zero_point"
    graph.node.append(
        helper.make_node(
            "QuantizeLinear", [FLOAT_IMAGE, scale, zero_point], [IMAGE], f"quantize_{IMAGE}"
        )
    )
    graph.initializer.append(numpy_helper.from_array(np.array(span / 255, np.float32), scale))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.uint8), zero_point))
    graph.output[0].name = IMAGE
    graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    return model


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Suppress the output, logs and warnings of torch, onnxscript and ONNX Runtime's quantizer."""
    disabled, handlers = logging.root.manager.disable, logging.root.handlers[:]
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        logging.root.handlers[:] = handlers  # logging.warning() adds one


def clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """Set the fields that all exported files share, and clear those that torch fills.

    torch fills them with stack traces, absolute paths and documentation.
    """
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "cgan-export", ""
    model.doc_string = model.graph.doc_string = ""
    graph = model.graph
    graph.name = "generator"
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH_AXIS
    return model
