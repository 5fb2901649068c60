"""Write an int8 file as C source.

    DIR/NAME.h, DIR/NAME.c                           the model
    DIR/example/NAME_main.c, DIR/example/Makefile    a program that writes a picture; never
                                                     overwritten, because users edit it
"""

import re
from contextlib import ExitStack
from functools import reduce
from pathlib import Path
from string import Template
from textwrap import fill

import numpy as np
from numpy.typing import ArrayLike

from cgan_export import __version__
from cgan_export.errors import ExportError
from cgan_export.targets.c.network import Integers, Layer, Network, read_network
from cgan_runtime import ImageGenerator
from cgan_runtime.errors import OutputError
from cgan_runtime.files import atomic_write
from cgan_runtime.model_file.contract import REFERENCE_SEED, ModelInfo
from cgan_runtime.noise import STEPS_PER_UNIT, standard_normal, thresholds

COMPARED_IMAGES = 500
MAX_SHIFT = 60  # of a scale; every scaled sum is below half a step then
MAKEFILE = "CFLAGS ?= -O3 -std=c99\n%: %_main.c ../%.c\n\t$(CC) $(CFLAGS) -o $@ $^\n"
# Names that clash with a header of C99 if DIR is searched for headers.
HEADERS = frozenset(
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdarg "
    "stdbool stddef stdint stdio stdlib string tgmath time wchar wctype".split()
)


def c_name(path: Path) -> str:
    """Return the name of a model in C: the file's name without suffix, as an identifier."""
    name = re.sub("[^0-9A-Za-z]+", "_", path.stem).strip("_")
    return f"model_{name}".strip("_") if not name[:1].isalpha() or name in HEADERS else name


def c_files(path: Path, folder: Path) -> list[Path]:
    """Return the files that write_c() writes: source, header, example and its Makefile."""
    name = c_name(path)
    names = f"{name}.c", f"{name}.h", f"example/{name}_main.c", "example/Makefile"
    return [folder / each for each in names]


def write_c(path: Path, folder: Path) -> Path:
    """Write an int8 file as C source, after comparing its integers with ONNX Runtime's images.

    Args:
        path: the .onnx file.
        folder: the folder of the C files, which is created if it does not exist.

    Returns:
        The path of the .c file.

    Raises:
        ExportError: the file is not int8, or does not give the same images in integers.
        cgan_runtime.ModelError: the file cannot be opened.
        cgan_runtime.OutputError: a file cannot be written.
    """
    with ImageGenerator(path, provider="cpu") as generator:
        info = generator.info
        if info.precision != "int8":
            raise ExportError(
                f"{path} is an {info.precision} file, and only int8 files give the same bytes in C; "
                "export the model with --precision int8"
            )
        network = read_network(path.read_bytes(), str(path))
        _compare(network, generator)
        values = _values(c_name(path), network, info)
        values |= {"sha256": generator.model_sha256, "about": _about(path.name, info)}
    files = c_files(path, folder)
    texts = [
        Template(Path(__file__).with_name(name).read_text()).substitute(values)
        for name in ("template.c", "template.h", "template_main.c")
    ]
    try:
        files[-1].parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create {files[-1].parent}: {error.strerror}; choose another folder"
        ) from error
    with ExitStack() as stack:  # renames the files when all are complete
        for file, text in zip(files, [*texts, MAKEFILE], strict=True):
            if file in files[:2] or not file.exists():
                stream = stack.enter_context(atomic_write(file))
                stream.write(text.encode())
                stream.flush()
    return files[0]


def _compare(network: Network, generator: ImageGenerator) -> None:
    """Raise ExportError unless the integers give ONNX Runtime's images and the golden sample."""
    info, golden = generator.info, generator.info.golden
    labels = np.arange(COMPARED_IMAGES) % info.classes
    images = generator.generate(labels, seed=REFERENCE_SEED)
    expected = {"ONNX Runtime": (REFERENCE_SEED, labels, images.tobytes())}
    expected["the golden sample"] = golden.seed, np.array(golden.labels), golden.images
    for name, (seed, label, content) in expected.items():
        noise = standard_normal(seed, 0, len(label), info.noise_dim) * STEPS_PER_UNIT
        if network.generate(noise.astype(np.int64), label).tobytes() != content:
            raise ExportError(
                f"{generator.model_path} cannot become C: in integers it gives other images than "
                f"{name}; export the model again"
            )


def _values(name: str, network: Network, info: ModelInfo) -> dict[str, object]:
    """Return the values of the templates' variables, without those that describe the file."""
    first, layers = network.first, network.layers
    channels, height, width = network.shape
    step = np.diff(first.steps.astype(float)).mean(1).clip(1)  # sums of a byte, by group
    arrays = {
        "uint16_t thresholds": thresholds()[:127],
        "int32_t label_table": first.table,
        "int16_t noise_weights": first.weight,
        "uint8_t unit_groups": first.groups,
        "int32_t byte_steps": first.steps,
        "uint32_t reciprocals": (2**32 - 1) / step,
        "uint8_t pixels": network.pixels,
        "int32_t golden_labels": info.golden.labels,
    }
    if permuted := (network.offsets != np.arange(len(network.offsets))).any():
        arrays["uint32_t offsets"] = network.offsets
    for number, layer in enumerate(layers):
        arrays[f"int8_t weights{number}"] = layer.weight
        arrays[f"uint32_t scales{number}"] = _scales(layer)
        if layer.bias.any():
            arrays[f"int32_t biases{number}"] = layer.bias
    return {
        "name": name,
        "NAME": name.upper(),
        "classes": info.classes,
        "class_names": ",\n    ".join(map(_quoted, info.class_names)),
        "channels": channels,
        "height": height,
        "width": width,
        "image_bytes": channels * height * width,
        "noise_dim": info.noise_dim,
        "units": len(first.groups),
        "state_bytes": max(len(first.groups), *(each.output_bytes for each in layers[:-1])),
        "max_rows": max(each.rows for each in layers),
        "arrays": "\n".join(_array(f"{name.upper()}_CONST", *each) for each in arrays.items()),
        "layers": _layers(network, "offsets" if permuted else "NULL"),
        "layer_count": len(layers),
        "golden_seed": info.golden.seed,
        "golden_hash": reduce(_fnv1a, info.golden.images, 0xCBF29CE484222325),
    }


def _about(file_name: str, info: ModelInfo) -> str:
    """Return what a comment says about the origin of the C files."""
    recipe = f"recipe {info.recipe.get('name')}, dataset {info.dataset}"
    text = f"Made by cgan-export {__version__} from {file_name} ({recipe}) with"
    command = f"cgan-export {file_name} --c DIR"
    # Whatever could end the comment, or continue its line, is replaced.
    return re.sub(r"[^\w .,():-]", "_", f"{text}: {command}", flags=re.ASCII)


def _scales(layer: Layer) -> Integers:
    """Return a layer's scales as C reads them: a fraction of 24 bits, then a shift of 8 bits."""
    fractions, exponents = np.frexp(layer.scale.astype(float))
    shifts = (24 - exponents).clip(1, MAX_SHIFT)
    return (fractions * 2**24).astype(np.int64) << 8 | shifts


def _layers(network: Network, last_offsets: str) -> str:
    """Return the initializers of the array of layer_t."""
    rows = []
    for number, layer in enumerate(network.layers):
        height, width, inputs, outputs = layer.weight.shape
        biases = f"biases{number}" if layer.bias.any() else "NULL"
        offsets, pitch = "NULL", (layer.output_size[1] * outputs, outputs)
        if layer is network.layers[-1]:
            offsets, pitch = last_offsets, network.pitch
        sizes = inputs, outputs, *layer.input_size, *layer.output_size, height, width
        numbers = map(str, (*sizes, *layer.padding, *layer.strides, *pitch, layer.zero))
        rows.append(", ".join([f"weights{number}", biases, f"scales{number}", offsets, *numbers]))
    return ",\n    ".join(f"{{{row}}}" for row in rows)


def _array(macro: str, declaration: str, values: ArrayLike) -> str:
    """Return the definition of an array, whose values are rounded down."""
    numbers = ", ".join(map(str, np.ravel(values).astype(np.int64)))
    return f"static {macro} {declaration}[] = {{\n{fill(numbers, 100, break_on_hyphens=False)}\n}};"


def _fnv1a(value: int, byte: int) -> int:
    return (value ^ byte) * 0x100000001B3 % 2**64


def _quoted(text: str) -> str:
    """Return a string literal of C, in UTF-8."""
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(plain)}"'
