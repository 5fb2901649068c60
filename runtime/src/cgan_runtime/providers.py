"""The execution providers of ONNX Runtime, as a table: a provider is a name and options.

A provider that the table lacks works too, by the name that onnxruntime gives it; it has the
properties of a row without any. docs/edge.md shows the table.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from cgan_runtime.errors import InputError

CPU, CUDA, AUTO = "cpu", "cuda", "auto"
SUFFIX = "ExecutionProvider"  # of onnxruntime's provider names
STATIC_BATCH = 16  # images of one call, or fewer of a large model, where the number is fixed
OPTION_SYNTAX = "give NAME or NAME:KEY=VALUE,KEY=VALUE, such as cuda:device_id=1"


class Provider(NamedTuple):
    """A row of the table."""

    devices: str  # that it uses
    package: str  # that offers it
    options: Mapping[str, str] = MappingProxyType({})  # defaults, which a user's options replace
    # Largest pixel error (0-255) of the golden sample that cgan-check accepts. Only the CPU has the
    # exact sums of int8 models; elsewhere a value may round to the next quantization step.
    int8_tolerance: int = 8
    float_tolerance: int = 1
    static_batch: bool = False  # whether it computes no graph with a dynamic batch size
    tested_on: str = ""  # what this project ran it on


TABLE: Mapping[str, Provider] = {
    CPU: Provider("any CPU", "onnxruntime", tested_on="x86-64; emulated Haswell and Cortex-A72"),
    # On NVIDIA GPUs since Ampere, onnxruntime multiplies float32 as TF32, with 10 bits of fraction,
    # unless this option disables it (since 1.18). TF32 would break the sums of int8 models.
    CUDA: Provider("NVIDIA GPUs", "onnxruntime-gpu", {"use_tf32": "0"}, tested_on="H200"),
    "tensorrt": Provider("NVIDIA GPUs", "onnxruntime-gpu, with TensorRT's libraries"),
    # By default OpenVINO computes in bfloat16 on CPUs that have it. This option sets its
    # INFERENCE_PRECISION_HINT to f32 in every onnxruntime since 1.20.
    "openvino": Provider(
        "Intel CPUs, GPUs and NPUs",
        "onnxruntime-openvino",
        {"precision": "FP32"},
        tested_on="x86-64 CPU",
    ),
    "dml": Provider("GPUs on Windows (DirectML)", "onnxruntime-directml"),
    "coreml": Provider("Apple's CPUs, GPUs and Neural Engine", "onnxruntime, on macOS"),
    "migraphx": Provider("AMD GPUs", "onnxruntime-migraphx"),
    "rocm": Provider("AMD GPUs", "onnxruntime-rocm, up to 1.22"),
    "qnn": Provider("Qualcomm's NPUs", "onnxruntime-qnn", static_batch=True),
    "webgpu": Provider("GPUs (WebGPU)", "onnxruntime-webgpu"),
    "xnnpack": Provider("Arm and x86-64 CPUs", "a build of onnxruntime with XNNPACK"),
}
SYNONYMS = {"directml": "dml"}
HINTS = {"gpu": CUDA, "nvidia": CUDA, "amd": "migraphx", "intel": "openvino", "mps": "coreml"}


def short_name(provider: str) -> str:
    """Return the short name of an onnxruntime provider, such as "cuda"."""
    name = provider.removesuffix(SUFFIX).lower()
    return SYNONYMS.get(name, name)


def properties(name: str) -> Provider:
    """Return the row of a provider by its short name; an unknown one has no defaults."""
    return TABLE.get(name, Provider("", "a build of onnxruntime that has it"))


def parse_provider(text: str) -> tuple[str, dict[str, str]]:
    """Return the short name of a provider and the options of a text such as "cuda:device_id=1".

    A value may contain commas, unless a key and an equals sign follow.

    Raises:
        InputError: the text has another form, repeats a key, or has options for "cpu" or "auto".
    """
    name, colon, rest = text.partition(":")
    name = short_name(name.strip())
    options: dict[str, str] = {}
    for part in re.split(r",(?=\s*\w+\s*=)", rest) if colon else ():
        key, equals, value = (each.strip() for each in part.partition("="))
        if not equals or not re.fullmatch(r"\w+", key) or key in options:
            raise InputError(f"the provider {text!r} has malformed options; {OPTION_SYNTAX}")
        options[key] = value
    if options and name in (AUTO, CPU):
        raise InputError(f"the provider {name} has no options; leave out {rest!r}")
    return name, options


def explain_not_offered(name: str, offered: list[str]) -> str:
    """Return why a provider cannot be used that the installed onnxruntime does not offer."""
    choices = ", ".join([AUTO, *offered])
    if name in TABLE:
        return (
            f"the installed onnxruntime does not offer {name}; install {TABLE[name].package}, or "
            f"choose from {choices}"
        )
    if name in HINTS:
        hint = TABLE[HINTS[name]]
        choices += f"; for {hint.devices} that is {HINTS[name]}, which {hint.package} offers"
    return f"provider {name!r} is not available; choose from {choices}"
