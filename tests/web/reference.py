"""What the page in web/ must draw, and what it must refuse: written by the Python runtime.

    python tests/web/reference.py FOLDER < drawings.json

drawings.json is a list of {"name", "model", "labels", "seed"}; each becomes FOLDER/name.bin, the
bytes of uint8 [labels, 1, height, width]. "model" is null for the one that ships, or one of those
written here into FOLDER.
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cgan_runtime import ImageGenerator
from cgan_runtime.generator import SHIPPED_MODEL
from cgan_runtime.model_file.checksum import add_checksum
from cgan_runtime.model_file.contract import (
    CONTENT_KEY,
    CONTRACT_KEY,
    LABEL,
    NOISE,
    PREFIX,
    Golden,
    ModelInfo,
)

GARMENTS = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def main() -> None:
    """Write the models and the drawings."""
    folder = Path(sys.argv[1])
    write_models(folder)
    write_refused(folder)
    for drawing in json.load(sys.stdin):
        model = drawing["model"] and folder / drawing["model"]
        with ImageGenerator(model, "cpu", threads=1) as generator:
            images = generator.generate(drawing["labels"], seed=drawing["seed"])
        (folder / f"{drawing['name']}.bin").write_bytes(images.tobytes())


def write_models(folder: Path) -> None:
    """Write models that the page opens: other names, float arithmetic, a golden sample not its."""
    info = ImageGenerator(None, "cpu", threads=1).info
    write(folder / "garments.onnx", shipped(), dataclasses.replace(info, class_names=GARMENTS))
    info, as_float = dataclasses.replace(info, precision="fp32"), with_float_arithmetic(shipped())
    write(folder / "float.onnx", as_float, info)
    with ImageGenerator(folder / "float.onnx", "cpu", threads=1) as generator:
        drawn = generator.generate(list(info.golden.labels), seed=info.golden.seed)
    golden = dataclasses.replace(info.golden, images=drawn.tobytes())
    write(folder / "float.onnx", as_float, dataclasses.replace(info, golden=golden))
    wrong = Golden(info.golden.seed, info.golden.labels, bytes(len(info.golden.images)))
    write(folder / "wrong.onnx", shipped(), dataclasses.replace(info, golden=wrong))


def write_refused(folder: Path) -> None:
    """Write files that the page refuses."""
    content, model = SHIPPED_MODEL.read_bytes(), shipped()
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    (folder / "text.onnx").write_text("no model at all\n")
    (folder / "empty.onnx").touch()
    (folder / "truncated.onnx").write_bytes(content[: len(content) // 2])
    (folder / "damaged.onnx").write_bytes(content.replace(b"Gather", b"Gotter"))
    write(folder / "foreign.onnx", model, {})
    write(folder / "newer.onnx", model, metadata | {CONTRACT_KEY: "2"})
    write(folder / "malformed.onnx", model, metadata | {f"{PREFIX}golden": "{}"})
    renamed = shipped()
    renamed.graph.node[-1].output[0] = renamed.graph.output[0].name = "picture"
    write(folder / "renamed.onnx", renamed, metadata)
    retyped = shipped()
    retyped.graph.input[1].type.tensor_type.elem_type = TensorProto.INT32
    write(folder / "retyped.onnx", retyped, metadata)


def shipped() -> ModelProto:
    """Return the model that ships."""
    return onnx.load(SHIPPED_MODEL)


def write(path: Path, model: ModelProto, info: ModelInfo | dict[str, str]) -> None:
    """Write a model with these metadata."""
    changed = ModelProto()
    changed.CopyFrom(model)
    del changed.metadata_props[:]
    metadata = dict(info.to_metadata() if isinstance(info, ModelInfo) else info)
    metadata.pop(CONTENT_KEY, None)  # of the file that it was
    helper.set_model_props(changed, metadata)
    path.write_bytes(add_checksum(changed.SerializeToString()))


def with_float_arithmetic(model: ModelProto) -> ModelProto:
    """Return the model with float32 weights, and nothing rounded between its layers.

    Rounding to bytes above the zero point 0 was its ReLU, and becomes one.
    """
    nodes = model.graph.node
    rounded = {node.output[0]: node for node in nodes if node.op_type == "QuantizeLinear"}
    weights = [
        node
        for node in nodes
        if node.op_type == "DequantizeLinear" and node.input[0] not in rounded
    ]
    names = [node.output[0] for node in weights]
    feeds = {NOISE: np.zeros((1, 64), np.float32), LABEL: np.zeros(1, np.int64)}
    for name, values in zip(names, ReferenceEvaluator(model).run(names, feeds), strict=True):
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    for node in weights:
        nodes.remove(node)
    for node in [node for node in nodes if node.op_type == "DequantizeLinear"]:
        before = rounded[node.input[0]]
        kind = (
            "Relu" if before.input[2] == "zero_0" else "Clip"
        )  # which without bounds does nothing
        node.CopyFrom(helper.make_node(kind, [before.input[0]], [node.output[0]]))
        nodes.remove(before)
    return model


if __name__ == "__main__":
    main()
