"""Write the images that the page in web/ must generate and the model files that it must reject.

    python tests/web/reference.py FOLDER < requests.json

requests.json is a list of {"name", "model", "labels", "seed"}. The images of each request are
written to FOLDER/name.bin, the bytes of uint8 [labels, channels, height, width]. "model" is null
for the shipped model, or the name of a file that this script writes into FOLDER. "sharing" is
the number of consecutive images with equal noise. With "to" and "frames", the images are those of a
walk to another seed, [frames, labels, channels, height, width].
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.checksum import add_checksum
from cgan_runtime.model_file.contract import (
    CONTENT_KEY,
    CONTRACT_KEY,
    IMAGE,
    IR_VERSION,
    LABEL,
    NOISE,
    OPSET,
    PREFIX,
    Golden,
    ImageShape,
    ModelInfo,
    tensor_specs,
)
from cgan_runtime.model_file.reading import SHIPPED_MODEL
from cgan_runtime.noise import STEPS_PER_UNIT, interpolate

GARMENTS = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


MANY_CLASSES = 5000
COLOR_NAMES = ("red", "green", "blue")
COLOR_SHAPES: dict[str, ImageShape] = {"portrait": (3, 28, 20), "tall": (3, 128, 8)}


def main() -> None:
    """Write the models and the images."""
    folder = Path(sys.argv[1])
    write_valid_models(folder)
    write_invalid_models(folder)
    for request in json.load(sys.stdin):
        model = request["model"] and folder / request["model"]
        with ImageGenerator(model, "cpu", threads=1) as generator:
            images = generate(generator, **request)
        (folder / f"{request['name']}.bin").write_bytes(images.tobytes())


def generate(
    generator: ImageGenerator,
    labels: list[int],
    seed: int,
    *,
    sharing: int = 1,
    to: int = 0,
    frames: int = 1,
    **_: object,
) -> NDArray[np.uint8]:
    """Return the images of a request."""
    if sharing == 1 and frames == 1:
        return generator.generate(labels, seed=seed)
    if sharing == 1:
        return generator.interpolate(labels, seed, to, frames)
    first, last = (
        np.repeat(generator.noise(each, 0, len(labels) // sharing), sharing, axis=0)
        for each in (seed, to)
    )
    walk = [first] + [interpolate(first, last, i / (frames - 1)) for i in range(1, frames)]
    return np.stack([generator.generate(labels, noise=noise) for noise in walk])


def write_valid_models(folder: Path) -> None:
    """Write models with other class names, with float arithmetic and with a wrong golden sample."""
    info = ImageGenerator(None, "cpu", threads=1).info
    write(folder / "garments.onnx", shipped(), dataclasses.replace(info, class_names=GARMENTS))
    names = ("a\n\x1b[31mb", "cafe\u0301", " ", *GARMENTS[3:])
    write(folder / "hostile-names.onnx", shipped(), dataclasses.replace(info, class_names=names))
    write(folder / "many-names.onnx", with_many_classes(shipped()), many_names(info))
    info, as_float = dataclasses.replace(info, precision="fp32"), with_float_arithmetic(shipped())
    write(folder / "float.onnx", as_float, info)
    with ImageGenerator(folder / "float.onnx", "cpu", threads=1) as generator:
        images = generator.generate(list(info.golden.labels), seed=info.golden.seed)
    golden = dataclasses.replace(info.golden, images=images.tobytes())
    write(folder / "float.onnx", as_float, dataclasses.replace(info, golden=golden))
    wrong = Golden(info.golden.seed, info.golden.labels, bytes(len(info.golden.images)))
    write(folder / "wrong.onnx", shipped(), dataclasses.replace(info, golden=wrong))
    info = ImageGenerator(None, "cpu", threads=1).info
    pixels = np.frombuffer(info.golden.images, np.uint8)
    near = dataclasses.replace(
        info.golden, images=(pixels ^ 8 * (pixels < 8)).astype("u1").tobytes()
    )
    for name, bit_exact in (("near", False), ("off", True)):
        changed = dataclasses.replace(info, golden=near, bit_exact=bit_exact)
        write(folder / f"{name}.onnx", shipped(), changed)
    for name, image_shape in COLOR_SHAPES.items():
        write_color_model(folder / f"{name}.onnx", info, image_shape)


def write_invalid_models(folder: Path) -> None:
    """Write files that the page rejects."""
    content, model = SHIPPED_MODEL.read_bytes(), shipped()
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    (folder / "text.onnx").write_text("not a model\n")
    (folder / "empty.onnx").touch()
    (folder / "truncated.onnx").write_bytes(content[: len(content) // 2])
    (folder / "damaged.onnx").write_bytes(content.replace(b"Gather", b"Gotter"))
    swapped = content.replace(b'["0", "1"', b'["1", "0"')
    (folder / "swapped.onnx").write_bytes(swapped)
    (folder / "line\n\x1b[31m.onnx").touch()
    write(folder / "foreign.onnx", model, {})
    write(folder / "loop.onnx", with_endless_loop(shipped()), metadata)
    info = ImageGenerator(None, "cpu", threads=1).info
    more = dataclasses.replace(info, class_names=(*info.class_names, "more"))
    golden = Golden(info.golden.seed, (10,), bytes(28 * 28))
    write(folder / "few.onnx", model, dataclasses.replace(more, golden=golden))
    write(folder / "newer.onnx", model, metadata | {CONTRACT_KEY: "2"})
    write(folder / "invalid.onnx", model, metadata | {f"{PREFIX}golden": "{}"})
    renamed = shipped()
    renamed.graph.node[-1].output[0] = renamed.graph.output[0].name = "picture"
    write(folder / "renamed.onnx", renamed, metadata)
    retyped = shipped()
    retyped.graph.input[1].type.tensor_type.elem_type = TensorProto.INT32
    write(folder / "retyped.onnx", retyped, metadata)


def write_color_model(path: Path, info: ModelInfo, image_shape: ImageShape) -> None:
    """Write a linear model with color images and exact float32 sums, without a dataset's name."""
    classes, noise_dim, size = len(COLOR_NAMES), 7, int(np.prod(image_shape))
    random = np.random.default_rng(0)
    table = random.integers(0, 100, (classes, size))
    table.reshape(classes, *image_shape)[range(classes), range(classes)] += 100
    constants = {
        "weight": (random.integers(-1, 2, (noise_dim, size)) * STEPS_PER_UNIT).astype(np.float32),
        "table": table.astype(np.float32),
        "black": np.float32(0),
        "white": np.float32(255),
        "sizes": np.array([-1, *image_shape]),
    }
    nodes = [
        helper.make_node("Gather", ["table", LABEL], ["row"]),
        helper.make_node("Gemm", [NOISE, "weight", "row"], ["sum"]),
        helper.make_node("Clip", ["sum", "black", "white"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["bytes"], to=TensorProto.UINT8),
        helper.make_node("Reshape", ["bytes", "sizes"], [IMAGE]),
    ]
    types = {"tensor(float)": TensorProto.FLOAT, "tensor(int64)": TensorProto.INT64}
    inputs, outputs = (
        [
            helper.make_tensor_value_info(
                each.name, types.get(each.type, TensorProto.UINT8), each.shape
            )
            for each in specs
        ]
        for specs in tensor_specs(noise_dim, image_shape)
    )
    tensors = [numpy_helper.from_array(np.asarray(each), key) for key, each in constants.items()]
    graph = helper.make_graph(nodes, "color", inputs, outputs, tensors)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[opset])
    labels = tuple(range(classes))
    info = dataclasses.replace(
        info,
        class_names=COLOR_NAMES,
        noise_dim=noise_dim,
        image_shape=image_shape,
        dataset="",
        precision="fp32",
        bit_exact=False,
        golden=Golden(1, labels, bytes(classes * size)),
    )
    write(path, model, info)
    with ImageGenerator(path, "cpu", threads=1) as generator:
        images = generator.generate(list(labels), seed=1)
    write(path, model, dataclasses.replace(info, golden=Golden(1, labels, images.tobytes())))


def many_names(info: ModelInfo) -> ModelInfo:
    """Return metadata with 5,000 classes."""
    names = ("é" * 300_000, *map(str, range(1, MANY_CLASSES)))
    return dataclasses.replace(info, class_names=names)


def with_many_classes(model: ModelProto) -> ModelProto:
    """Return the model with rows for 5,000 labels, which repeat the rows of the ten digits."""
    (table,) = [each for each in model.graph.initializer if each.name == "table"]
    rows = np.resize(numpy_helper.to_array(table), (MANY_CLASSES, *table.dims[1:]))
    table.CopyFrom(numpy_helper.from_array(rows, table.name))
    return model


def with_endless_loop(model: ModelProto) -> ModelProto:
    """Return the model with a loop of 2^62 steps."""
    types = {"i": TensorProto.INT64, "go": TensorProto.BOOL, "gone": TensorProto.BOOL}
    number, go, gone = (helper.make_tensor_value_info(*each, []) for each in types.items())
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["gone"])], "body", [number, go], [gone]
    )
    for name, value in (("steps", np.array(2**62)), ("true", np.array(True))):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.graph.node.append(helper.make_node("Loop", ["steps", "true"], [], body=body))
    return model


def shipped() -> ModelProto:
    """Return the shipped model."""
    return onnx.load(SHIPPED_MODEL)


def write(path: Path, model: ModelProto, info: ModelInfo | dict[str, str]) -> None:
    """Write a model with other metadata."""
    changed = ModelProto()
    changed.CopyFrom(model)
    metadata = dict(info.to_metadata() if isinstance(info, ModelInfo) else info)
    metadata.pop(CONTENT_KEY, None)  # the hash of the original file
    helper.set_model_props(changed, metadata)
    path.write_bytes(add_checksum(changed.SerializeToString()))


def with_float_arithmetic(model: ModelProto) -> ModelProto:
    """Return the model with float32 weights and without quantization between its layers.

    Quantization with zero point 0 also acts as the ReLU, so it is replaced with one.
    """
    nodes = model.graph.node
    quantize = {node.output[0]: node for node in nodes if node.op_type == "QuantizeLinear"}
    dequantize = [node for node in nodes if node.op_type == "DequantizeLinear"]
    weights = [node for node in dequantize if node.input[0] not in quantize]
    names = [node.output[0] for node in weights]
    feeds = {NOISE: np.zeros((1, 64), np.float32), LABEL: np.zeros(1, np.int64)}
    for name, values in zip(names, ReferenceEvaluator(model).run(names, feeds), strict=True):
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    for node in dequantize:
        if node.input[0] in quantize:
            before = quantize[node.input[0]]
            # Clip without bounds returns its input.
            operator = "Relu" if before.input[2] == "zero_0" else "Clip"
            node.CopyFrom(helper.make_node(operator, [before.input[0]], [node.output[0]]))
            nodes.remove(before)
        else:
            nodes.remove(node)
    return model


if __name__ == "__main__":
    main()
