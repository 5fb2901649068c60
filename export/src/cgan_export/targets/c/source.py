"""Write an int8 file as C source."""

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
from cgan_export.targets.c.network import Floats, Integers, Network, read_network
from cgan_export.targets.quoting import quoted
from cgan_runtime import ImageGenerator
from cgan_runtime.files import atomic_write, make_folder
from cgan_runtime.model_file.contract import REFERENCE_SEED, ModelInfo
from cgan_runtime.noise import STEPS_PER_UNIT, standard_normal, thresholds

COMPARED_IMAGES = 500
MAX_SHIFT = 55  # of a scale: products that would need a larger one are below half a step
MAKEFILE = "CFLAGS ?= -O3 -std=c99\n%: %_main.c ../%.c\n\t$(CC) $(CFLAGS) -o $@ $^\n"
TEMPLATES = ("template.c", "template.h", "template_main.c")


@np.errstate(all="ignore")  # of scales that a foreign file may have
def write_c(path: Path, folder: Path) -> Path:
    """Write an int8 file as C source, after comparing its images with those of ONNX Runtime.

    Args:
        path: the .onnx file.
        folder: the folder of the C files, which is created if it does not exist.

    Returns:
        The path of the .c file.

    Raises:
        ExportError: the file is not bit-exact, or integers give other images.
        cgan_runtime.ModelError: the file cannot be opened.
        cgan_runtime.OutputError: a C file cannot be written.
    """
    with ImageGenerator(path, provider="cpu") as generator:
        info = generator.info
        if not info.bit_exact:
            reason = f"the images of this {info.precision} file differ between processors"
            raise _refusal(path, reason)
        try:
            network = read_network(path.read_bytes())
            compare_images(network, generator)
        except (ExportError, IndexError, KeyError, TypeError, ValueError) as error:
            other = "--precision int8 did not write its graph"
            raise _refusal(path, error if isinstance(error, ExportError) else other) from error
        texts = c_texts(path, network, info, generator.model_sha256)
    files = c_files(path, folder)
    make_folder(files[-1].parent, "choose another folder")
    with ExitStack() as stack:  # renames the files when all of them are complete
        for file, text in zip(files, texts, strict=True):
            if file in files[:2] or not file.exists():
                stream = stack.enter_context(atomic_write(file))
                stream.write(text.encode())
                stream.flush()
    return files[0]


def _refusal(path: Path, reason: object) -> ExportError:
    remedy = "export a generator of cgan-train with --precision int8"
    return ExportError(f"{path} cannot become C: {reason}; {remedy}")


def compare_images(network: Network, generator: ImageGenerator) -> None:
    """Raise ExportError unless integers give ONNX Runtime's images and the golden sample."""
    info, golden = generator.info, generator.info.golden
    labels = np.arange(COMPARED_IMAGES) % info.classes
    reference = generator.generate(labels, seed=REFERENCE_SEED).tobytes()
    for seed, label, expected in (
        (REFERENCE_SEED, labels, reference),
        (golden.seed, np.array(golden.labels), golden.images),
    ):
        noise = standard_normal(seed, 0, len(label), info.noise_dim) * STEPS_PER_UNIT
        images = map(network.generate, noise.astype(int), label)
        if b"".join(each.tobytes() for each in images) != expected:
            raise ExportError("integers give other images than ONNX Runtime")


def c_texts(path: Path, network: Network, info: ModelInfo, sha256: str) -> list[str]:
    """Return the content of the files of c_files(), in order."""
    name, units, (channels, height, width) = c_name(path), len(network.groups), network.shape
    arrays: dict[str, ArrayLike] = {
        "int32_t thresholds": thresholds()[:127],
        "int32_t label_table": network.table,
        "int16_t noise_weights": network.noise_weight,
        "uint8_t unit_groups": network.groups,
        "int32_t byte_steps": network.steps,
        "uint8_t pixels": network.pixels,
        "int32_t golden_labels": info.golden.labels,
    }
    layers, maps, sizes = [], [units, 1, 1, 1, 1], [units]
    for number, layer in enumerate(network.layers):
        outputs, biases = len(layer.bias), f"biases{number}" if layer.bias.any() else "NULL"
        arrays[f"int8_t weights{number}"] = layer.weight
        arrays[f"uint32_t scales{number}"] = encoded_scales(layer.scale)
        if layer.bias.any():
            arrays[f"int32_t biases{number}"] = layer.bias
        numbers = layer.zero, len(layer.weight), outputs
        layers.append(
            _braced(f"weights{number}", biases, f"scales{number}", *numbers, _braced(*maps))
        )
        maps = [outputs // layer.cell.prod(), *layer.size * layer.cell, *layer.cell]
        sizes.append(outputs * layer.size.prod())
    is_cell = layer.size.prod() == 1  # so that its outputs are an image already
    recipe = f"recipe {info.recipe.get('name')}, dataset {info.dataset}"
    about = f"cgan-export {version('cgan-export')} made this from {path.name} ({recipe}):"
    # Characters that could end the comment or continue its line are replaced.
    about = re.sub(r"[^\w .,():-]", "_", f"{about} cgan-export {path.name} --c DIR", flags=re.ASCII)
    values = {
        "about": fill(about, 96, subsequent_indent=" * ", break_on_hyphens=False),
        "name": name,
        "NAME": name.upper(),
        "sha256": sha256,
        "classes": info.classes,
        "class_names": ",\n    ".join(map(quoted, info.class_names)),
        "channels": channels,
        "height": height,
        "width": width,
        "image_bytes": channels * height * width,
        "noise_dim": info.noise_dim,
        "units": units,
        "state_bytes": max(sizes[:-1] if is_cell else sizes),
        "max_inputs": max(each.weight[..., 0].size for each in network.layers),
        "arrays": "\n".join(_array(f"{name.upper()}_CONST", *each) for each in arrays.items()),
        "layers": ",\n    ".join(layers),
        "layer_count": len(layers),
        "is_cell": int(is_cell),
        "last_maps": _braced(*maps),
        "golden_seed": info.golden.seed,
        "golden_hash": reduce(_hash_byte, info.golden.images, 0xCBF29CE484222325),
    }
    texts = (Path(__file__).with_name(each).read_text() for each in TEMPLATES)
    return [*(Template(each).substitute(values) for each in texts), MAKEFILE]


def encoded_scales(scale: Floats) -> Integers:
    """Return a layer's scales as C reads them: a fraction of 24 bits, then a shift of 8 bits."""
    fractions, exponents = np.frexp(scale.astype(float))
    shifts = 24 - exponents
    integers = (fractions * 2**24).astype(np.int64) >> (shifts - MAX_SHIFT).clip(0, 24)
    return np.asarray(integers << 8 | shifts.clip(1, MAX_SHIFT))


def _hash_byte(value: int, byte: int) -> int:
    """Return the next value of the 64-bit hash FNV-1a."""
    return (value ^ byte) * 0x100000001B3 % 2**64


def _braced(*values: object) -> str:
    return f"{{{', '.join(map(str, values))}}}"


def _array(macro: str, declaration: str, values: ArrayLike) -> str:
    """Return the definition of an array of integers."""
    numbers = ", ".join(map(str, np.ravel(values).astype(np.int64)))
    text = fill(numbers, 100, break_on_hyphens=False)
    return f"static {macro} {declaration}[] = {{\n{text}\n}};"
