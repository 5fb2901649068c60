"""The execution providers of ONNX Runtime. docs/edge.md shows the table.

A provider that is not in the table can be used too, by its onnxruntime name. It gets the default
values of Provider.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from cgan_runtime.errors import InputError

CPU, CUDA, AUTO = "cpu", "cuda", "auto"
SUFFIX = "ExecutionProvider"  # onnxruntime's provider names end in it
FIXED_BATCH_SIZE = 16  # used by providers that need one; a large model uses a smaller size
OPTION_SYNTAX = "give NAME or NAME:KEY=VALUE,KEY=VALUE, such as cuda:device_id=1"


class Provider(NamedTuple):
    """What this package knows about a provider."""

    devices: str  # supported hardware
    package: str  # package that contains the provider
    options: Mapping[str, str] = MappingProxyType({})  # default options; the user's have priority
    # Largest pixel error (0-255) of the golden sample that cgan-check accepts. Only the CPU has the
    # exact sums of int8 models; elsewhere a value may round to the next quantization step.
    int8_tolerance: int = 8
    float_tolerance: int = 1
    needs_fixed_batch: bool = False  # True if the provider cannot run a dynamic batch size
    tested_on: str = ""  # hardware on which this project has tested the provider


PROVIDERS: Mapping[str, Provider] = {
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
    "qnn": Provider("Qualcomm's NPUs", "onnxruntime-qnn", needs_fixed_batch=True),
    "webgpu": Provider("GPUs (WebGPU)", "onnxruntime-webgpu"),
    "xnnpack": Provider("Arm and x86-64 CPUs", "a build of onnxruntime with XNNPACK"),
}
SYNONYMS = {"directml": "dml"}
# Words that a user may try as a provider, with the provider that an error message suggests.
SUGGESTIONS = {"gpu": CUDA, "nvidia": CUDA, "amd": "migraphx", "intel": "openvino", "mps": "coreml"}


def short_name(provider: str) -> str:
    """Return the short name of an onnxruntime provider, such as "cuda"."""
    name = provider.removesuffix(SUFFIX).lower()
    return SYNONYMS.get(name, name)


def find_provider(name: str) -> Provider:
    """Return the table's entry for a short name, or the default values if there is none."""
    return PROVIDERS.get(name, Provider("", "a build of onnxruntime that has it"))


def parse_provider(text: str) -> tuple[str, dict[str, str]]:
    """Parse a text such as "cuda:device_id=1"; return the provider's short name and its options.

    A comma belongs to a value unless a key and an equals sign follow.

    Raises:
        InputError: the text has invalid syntax, repeats a key, or has options for "cpu" or "auto".
    """
    name, colon, rest = text.partition(":")
    name = short_name(name.strip())
    options: dict[str, str] = {}
    for part in re.split(r",(?=\s*\w+\s*=)", rest) if colon else ():
        key, equals, value = (token.strip() for token in part.partition("="))
        if not equals or not re.fullmatch(r"\w+", key) or key in options:
            raise InputError(f"the provider {text!r} has malformed options; {OPTION_SYNTAX}")
        options[key] = value
    if options and name in (AUTO, CPU):
        raise InputError(f"the provider {name} has no options; leave out {rest!r}")
    return name, options


def explain_not_offered(name: str, offered: list[str]) -> str:
    """Return why a provider cannot be used, given the providers of the installed onnxruntime."""
    choices = ", ".join([AUTO, *offered])
    if name in PROVIDERS:
        package = PROVIDERS[name].package
        return (
            f"the installed onnxruntime does not offer {name}; install {package}, or choose from "
            f"{choices}"
        )
    if name in SUGGESTIONS:
        suggestion = SUGGESTIONS[name]
        provider = PROVIDERS[suggestion]
        choices += f"; for {provider.devices} use {suggestion} (package {provider.package})"
    return f"provider {name!r} is not available; choose from {choices}"
