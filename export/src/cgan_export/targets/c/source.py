"""Write an int8 file as C source."""

import re
from contextlib import ExitStack
from functools import reduce
from importlib.metadata import version
from pathlib import Path
from string import Template
from textwrap import fill
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cgan_export.errors import ExportError
from cgan_export.targets.c import c_files, c_name
from cgan_export.targets.c.network import Floats, Integers, Network, read_network
from cgan_export.targets.quoting import quoted
from cgan_runtime import ImageGenerator
from cgan_runtime.files import atomic_write, make_folder
from cgan_runtime.model_file.contract import REFERENCE_SEED, ModelInfo
from cgan_runtime.noise import STEPS_PER_UNIT, standard_normal, thresholds

COMPARED_IMAGES = 500
MAX_SHIFT = 55  # largest shift of a scale; with a larger one, every product would be rounded to 0
MAKEFILE = "CFLAGS ?= -O3 -std=c99\n%: %_main.c ../%.c\n\t$(CC) $(CFLAGS) -o $@ $^\n"
OTHER_STACK = 1536  # bytes of stack for the array of sums and, as an estimate, for other variables
MEMORY_KEYS = ("constant_bytes", "stack_bytes")
TEMPLATES = ("template.c", "template.h", "template_main.c")


@np.errstate(all="ignore")  # a file of another tool may have a scale of zero
def write_c(path: Path, folder: Path) -> dict[str, Any]:
    """Write an int8 file as C source, after comparing its images with those of ONNX Runtime.

    Args:
        path: the .onnx file.
        folder: the folder of the C files, which is created if it does not exist.

    Returns:
        The entries of a report: c, the path of the .c file, c_constant_bytes and c_stack_bytes.

    Raises:
        ExportError: the file is not bit-exact, or integer arithmetic gives other images.
        cgan_runtime.ModelError: the file cannot be opened.
        cgan_runtime.OutputError: a C file cannot be written.
    """
    with ImageGenerator(path, provider="cpu") as generator:
        info = generator.info
        if not info.bit_exact:
            raise _refusal(path, "it is not bit-exact, so its images may differ between processors")
        try:
            network = read_network(path.read_bytes())
            compare_images(network, generator)
        except (ExportError, IndexError, KeyError, TypeError, ValueError) as error:
            other = "cgan-export --precision int8 did not create it"
            raise _refusal(path, error if isinstance(error, ExportError) else other) from error
        values = template_values(path, network, info, generator.model_sha256)
    files = c_files(path, folder)
    make_folder(files[-1].parent, "choose another folder")
    with ExitStack() as stack:  # renames the files when all of them are complete
        for file, text in zip(files, c_texts(values), strict=True):
            if file in files[:2] or not file.exists():
                stream = stack.enter_context(atomic_write(file))
                stream.write(text.encode())
                stream.flush()
    return {"c": str(files[0])} | {f"c_{each}": values[each] for each in MEMORY_KEYS}


def _refusal(path: Path, reason: object) -> ExportError:
    remedy = (
        "export a built-in generator of cgan-train with --precision int8, and check with "
        "cgan-check that the file is bit-exact"
    )
    return ExportError(f"cannot write {path} as C: {reason}; {remedy}")


def compare_images(network: Network, generator: ImageGenerator) -> None:
    """Raise ExportError unless a network generates ONNX Runtime's images and the golden sample."""
    info, golden = generator.info, generator.info.golden
    labels = np.arange(COMPARED_IMAGES) % info.classes
    for seed, label, expected in (
        (REFERENCE_SEED, labels, generator.generate(labels, seed=REFERENCE_SEED).tobytes()),
        (golden.seed, np.array(golden.labels), golden.images),
    ):
        noise = standard_normal(seed, 0, len(label), info.noise_dim) * STEPS_PER_UNIT
        images = map(network.generate, noise.astype(int), label)
        if b"".join(each.tobytes() for each in images) != expected:
            raise ExportError("integer arithmetic gives other images than ONNX Runtime")


def c_texts(values: dict[str, Any]) -> list[str]:
    """Return the content of the files of c_files(), in order."""
    texts = (Path(__file__).with_name(each).read_text() for each in TEMPLATES)
    return [*(Template(each).substitute(values) for each in texts), MAKEFILE]


def template_values(path: Path, network: Network, info: ModelInfo, sha256: str) -> dict[str, Any]:
    """Return the values of the templates by name."""
    name = c_name(path)
    arrays: dict[str, ArrayLike] = {
        "int32_t noise_thresholds": thresholds()[:127],
        "int32_t label_table": network.table,
        "int16_t noise_weights": network.noise_weight,
        "uint8_t unit_groups": network.groups,
        "int32_t unit_thresholds": network.thresholds,
        "uint8_t pixels": network.pixels,
        "int32_t golden_labels": info.golden.labels,
    }
    layers, sizes, max_inputs = [], [len(network.groups)], 0
    for number, layer in enumerate(network.layers):
        kernel, _, inputs, outputs = layer.weight.shape
        arrays[f"int8_t weights{number}"] = layer.weight
        arrays[f"uint32_t scales{number}"] = encoded_scales(layer.scale)
        if layer.bias.any():
            arrays[f"int32_t biases{number}"] = layer.bias
        biases = f"biases{number}" if layer.bias.any() else "NULL"
        sides = [kernel, *layer.size, inputs, outputs, outputs // layer.block[0]]
        text = ", ".join(map(str, [layer.zero_point, *sides]))
        layers.append(f"{{weights{number}, {biases}, scales{number}, {text}}}")
        sizes.append(outputs * int(layer.size.prod()))
        max_inputs = max(max_inputs, kernel * kernel * inputs)
    # The last layer writes into the image if its feature map is the image.
    in_place = network.shape[0] == 1 and sizes[-1] == np.prod(network.shape)
    state_bytes = max(sizes[:-1] if in_place else sizes)
    recipe = f"recipe {info.recipe.get('name')}, dataset {info.dataset}"
    about = f"cgan-export {version('cgan-export')} made this from {path.name} ({recipe}):"
    # Replace characters that could end the comment or continue its line.
    about = re.sub(r"[^\w .,():-]", "_", f"{about} cgan-export {path.name} --c DIR", flags=re.ASCII)
    return {
        "about": fill(about, 96, subsequent_indent=" * ", break_on_hyphens=False),
        "name": name,
        "NAME": name.upper(),
        "sha256": sha256,
        "classes": info.classes,
        "class_names": ",\n    ".join(map(quoted, info.class_names)),
        **dict(zip(("channels", "height", "width"), network.shape, strict=True)),
        "noise_dim": info.noise_dim,
        "constant_bytes": sum(
            np.size(values) * np.dtype(declaration.partition("_t ")[0]).itemsize
            for declaration, values in arrays.items()
        ),
        "stack_bytes": info.noise_dim + 2 * state_bytes + 3 * max_inputs + OTHER_STACK,
        "state_bytes": state_bytes,
        "max_inputs": max_inputs,
        "arrays": "\n".join(_array(f"{name.upper()}_CONST", *each) for each in arrays.items()),
        "layers": ",\n    ".join(layers),
        "in_place": int(in_place),
        "last_width": layer.size[1] * layer.block[1],
        "golden_seed": info.golden.seed,
        "golden_hash": reduce(_hash_byte, info.golden.images, 0xCBF29CE484222325),
    }


def encoded_scales(scale: Floats) -> Integers:
    """Return a layer's scales in the format of the C code: 24 bits of fraction, 8 bits of shift."""
    fractions, exponents = np.frexp(scale.astype(float))
    shifts = 24 - exponents
    integers = (fractions * 2**24).astype(np.int64) >> (shifts - MAX_SHIFT).clip(0, 24)
    return np.asarray(integers << 8 | shifts.clip(1, MAX_SHIFT))


def _hash_byte(value: int, byte: int) -> int:
    """Return the next value of the 64-bit hash FNV-1a."""
    return (value ^ byte) * 0x100000001B3 % 2**64


def _array(macro: str, declaration: str, values: ArrayLike) -> str:
    """Return the definition of an array of integers."""
    numbers = ", ".join(map(str, np.ravel(values).astype(np.int64)))
    text = fill(numbers, 100, break_on_hyphens=False)
    return f"static {macro} {declaration}[] = {{\n{text}\n}};"
