"""Write an int8 file as C source."""

import math
import re
from contextlib import ExitStack
from functools import reduce
from importlib.metadata import version
from pathlib import Path
from string import Template
from textwrap import fill

import numpy as np
from numpy.typing import ArrayLike

from cgan_export.errors import ExportError
from cgan_export.targets.c import c_files, c_name
from cgan_export.targets.c.network import Integers, Layer, Network, read_network
from cgan_runtime import ImageGenerator
from cgan_runtime.errors import OutputError
from cgan_runtime.files import atomic_write
from cgan_runtime.model_file.contract import REFERENCE_SEED, ModelInfo
from cgan_runtime.noise import STEPS_PER_UNIT, standard_normal, thresholds

COMPARED_IMAGES = 500
MAX_SHIFT = 55  # of a scale: products that would need a larger one are below half a step
MAKEFILE = "CFLAGS ?= -O3 -std=c99\n%: %_main.c ../%.c\n\t$(CC) $(CFLAGS) -o $@ $^\n"
TEMPLATES = ("template.c", "template.h", "template_main.c")
HASH_START, HASH_FACTOR = 0xCBF29CE484222325, 0x100000001B3  # of the 64-bit hash FNV-1a


@np.errstate(all="ignore")  # of scales that a foreign file may have
def write_c(path: Path, folder: Path) -> Path:
    """Write an int8 file as C source, after comparing its images with those of ONNX Runtime.

    Args:
        path: the .onnx file.
        folder: the folder of the C files, which is created if it does not exist.

    Returns:
        The path of the .c file.

    Raises:
        ExportError: the file is not int8, or integers give other images.
        cgan_runtime.ModelError: the file cannot be opened.
        cgan_runtime.OutputError: a C file cannot be written.
    """
    with ImageGenerator(path, provider="cpu") as generator:
        if generator.info.precision != "int8":
            raise ExportError(
                f"{path} is an {generator.info.precision} file, whose images differ between "
                "processors; export the model with --precision int8 to get C"
            )
        network = read_network(path.read_bytes(), str(path))
        compare_images(network, generator)
        texts = c_texts(path, network, generator.info, generator.model_sha256)
    files = c_files(path, folder)
    try:
        files[-1].parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create {files[-1].parent}: {error.strerror}; choose another folder"
        ) from error
    with ExitStack() as stack:  # renames the files when all of them are complete
        for file, text in zip(files, texts, strict=True):
            if file in files[:2] or not file.exists():
                stream = stack.enter_context(atomic_write(file))
                stream.write(text.encode())
                stream.flush()
    return files[0]


def compare_images(network: Network, generator: ImageGenerator) -> None:
    """Raise ExportError unless integers give ONNX Runtime's images and the golden sample."""
    info, golden = generator.info, generator.info.golden
    labels = np.arange(COMPARED_IMAGES) % info.classes
    images = generator.generate(labels, seed=REFERENCE_SEED).tobytes()
    for seed, label, expected in (
        (REFERENCE_SEED, labels, images),
        (golden.seed, np.array(golden.labels), golden.images),
    ):
        noise = standard_normal(seed, 0, len(label), info.noise_dim) * STEPS_PER_UNIT
        if network.generate(noise.astype(np.int64), label).tobytes() != expected:
            raise ExportError(
                f"{generator.model_path} cannot become C: integers give other images than ONNX "
                "Runtime; export the model again with --precision int8"
            )


def c_texts(path: Path, network: Network, info: ModelInfo, sha256: str) -> list[str]:
    """Return the content of the files of c_files(), in order."""
    values = _template_values(path, network, info, sha256)
    texts = (Path(__file__).with_name(name).read_text() for name in TEMPLATES)
    return [*(Template(text).substitute(values) for text in texts), MAKEFILE]


def _template_values(
    path: Path, network: Network, info: ModelInfo, sha256: str
) -> dict[str, object]:
    first, layers, name = network.first, network.layers, c_name(path)
    arrays: dict[str, ArrayLike] = {
        "int32_t thresholds": thresholds()[:127],
        "int32_t label_table": first.table,
        "int16_t noise_weights": first.weight,
        "uint8_t unit_groups": first.groups,
        "int32_t byte_steps": first.steps,
        "uint8_t pixels": network.pixels,
        "int32_t golden_labels": info.golden.labels,
    }
    for number, layer in enumerate(layers):
        arrays[f"int8_t weights{number}"] = layer.weight
        arrays[f"uint32_t scales{number}"] = encoded_scales(layer)
        if layer.bias.any():
            arrays[f"int32_t biases{number}"] = layer.bias
        if _is_permuted(layer):
            arrays[f"uint32_t offsets{number}"] = layer.positions[0, 0]
    rows, columns = network.covered
    cropped = network.covered != network.shape[1:]
    hidden = [each.positions.size for each in (layers if cropped else layers[:-1])]
    recipe = f"recipe {info.recipe.get('name')}, dataset {info.dataset}"
    about = f"cgan-export {version('cgan-export')} made this from {path.name} ({recipe}):"
    # Characters that could end the comment or continue its line are replaced.
    about = re.sub(r"[^\w .,():-]", "_", f"{about} cgan-export {path.name} --c DIR", flags=re.ASCII)
    return {
        **dict(zip(("channels", "height", "width"), network.shape, strict=True)),
        "about": fill(about, 96, subsequent_indent=" * ", break_on_hyphens=False),
        "name": name,
        "NAME": name.upper(),
        "sha256": sha256,
        "classes": info.classes,
        "class_names": ",\n    ".join(map(_quoted, info.class_names)),
        "image_bytes": math.prod(network.shape),
        "cropped": int(cropped),
        "rows": rows,
        "columns": columns,
        "noise_dim": info.noise_dim,
        "units": len(first.groups),
        "state_bytes": max(len(first.groups), *hidden, 1),
        "max_inputs": max(each.weight[..., 0].size for each in layers),
        "arrays": "\n".join(_array(f"{name.upper()}_CONST", *each) for each in arrays.items()),
        "layers": ",\n    ".join(map(_layer, range(len(layers)), layers)),
        "layer_count": len(layers),
        "golden_seed": info.golden.seed,
        "hash_start": HASH_START,
        "hash_factor": HASH_FACTOR,
        "golden_hash": reduce(
            lambda value, byte: (value ^ byte) * HASH_FACTOR % 2**64, info.golden.images, HASH_START
        ),
    }


def encoded_scales(layer: Layer) -> Integers:
    """Return a layer's scales as C reads them: a fraction of 24 bits, then a shift of 8 bits."""
    fractions, exponents = np.frexp(layer.scale.astype(float))
    shifts = 24 - exponents
    integers = (fractions * 2**24).astype(np.int64) >> (shifts - MAX_SHIFT).clip(0, 24)
    return np.asarray(integers << 8 | shifts.clip(1, MAX_SHIFT))


def _is_permuted(layer: Layer) -> bool:
    return bool((np.diff(layer.positions[0, 0]) != 1).any())


def _layer(number: int, layer: Layer) -> str:
    """Return the initializer of a layer_t."""
    height, width, inputs, outputs = layer.weight.shape
    corners = layer.positions[:2, :2, 0]
    pitch = [int(each.max() - corners.min()) for each in (corners[:, 0], corners[0])]
    biases = f"biases{number}" if layer.bias.any() else "NULL"
    offsets = f"offsets{number}" if _is_permuted(layer) else "NULL"
    sizes = inputs, outputs, *layer.input_size, *layer.output_size, height, width
    numbers = *sizes, *layer.padding, *layer.strides, *pitch, layer.zero
    values = f"weights{number}", biases, f"scales{number}", offsets, *map(str, numbers)
    return f"{{{', '.join(values)}}}"


def _array(macro: str, declaration: str, values: ArrayLike) -> str:
    """Return the definition of an array of integers."""
    numbers = ", ".join(map(str, np.ravel(values).astype(np.int64)))
    text = fill(numbers, 100, break_on_hyphens=False)
    return f"static {macro} {declaration}[] = {{\n{text}\n}};"


def _quoted(text: str) -> str:
    """Return a string literal of C, in UTF-8."""
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(plain)}"'
