"""Print the tables of docs/microcontrollers.md: bytes, stack, instructions and equal images.

    python tests/c/platforms.py                      # the shipped model, some minutes
    python tests/c/platforms.py --images 1000
    python tests/c/platforms.py --model my.onnx --images 100

A platform whose compiler or emulator is not installed is left out, with a line that says so.
Microcontrollers are emulated by qemu-system-arm, other processors by qemu-user-static.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from int8_networks import Int8File

from cgan_export.targets.c.source import write_c
from cgan_runtime import CganError, ImageGenerator
from cgan_runtime.model_file.reading import SHIPPED_MODEL

HERE = Path(__file__).parent
SEED, START = 2**64 - 1, 2**62 - 100  # after 100 images, the noise counter exceeds 64 bits
MICROCONTROLLERS = {"cortex-m0plus": "mps2-an385", "cortex-m3": "mps2-an385"}
MICROCONTROLLERS |= {"cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}
HOSTED = {
    "x86-64, gcc -O0": ["", "gcc", "-O0"],
    "x86-64, gcc -O2": ["", "gcc", "-O2"],
    "x86-64, gcc -O3 -march=native": ["", "gcc", "-O3", "-march=native"],
    "x86-64, clang -O2": ["", "clang", "-O2"],
    "x86-64, clang -O3 -march=native": ["", "clang", "-O3", "-march=native"],
    "armv7": ["qemu-arm-static", "arm-linux-gnueabihf-gcc", "-O2", "-static"],
    "aarch64": ["qemu-aarch64-static", "aarch64-linux-gnu-gcc", "-O2", "-static"],
    "i686, x87": ["qemu-i386-static", "i686-linux-gnu-gcc", "-O2", "-static", "-mfpmath=387"],
    "s390x (big endian)": ["qemu-s390x-static", "s390x-linux-gnu-gcc", "-O2", "-static"],
}


def run(command: Sequence[object]) -> bytes:
    return subprocess.run([*map(str, command)], stdout=subprocess.PIPE, check=True).stdout


def missing(*programs: str) -> bool:
    """Return whether a program is missing, and print its name."""
    absent = [each for each in programs if each and shutil.which(each) is None]
    for each in absent:
        print(f"left out: {each} is not installed")
    return bool(absent)


def microcontroller(source: Path, network: Int8File, processor: str, images: int) -> list[str]:
    """Return a row: code, constants, static RAM, stack, instructions, equal images."""
    folder, board = source.parent, MICROCONTROLLERS[processor]
    compiler = ["arm-none-eabi-gcc", "-mthumb", f"-mcpu={processor}", "-O2", "-std=c99"]
    run([*compiler, "-c", source, "-o", folder / "net.o"])
    sections = run(["arm-none-eabi-size", "-A", folder / "net.o"]).decode().split("\n")
    sizes = [line.split() for line in sections if line.startswith(".")]
    code, constants, ram = (
        sum(int(size) for name, size, _ in sizes if name.startswith(names))
        for names in ((".text",), (".rodata",), (".data", ".bss"))
    )
    link = [*compiler, "--specs=rdimon.specs", "-T", HERE / "mps2.ld", "-I", folder]
    qemu = ["qemu-system-arm", "-M", board, "-nographic", "-monitor", "none", "-serial", "none"]
    qemu += ["-semihosting-config"]
    outputs = []
    arguments = "".join(f",arg={each}" for each in ("images", SEED, START, images))
    for program, options in (("instructions", ["-icount", "shift=0"]), ("images", [])):
        elf = folder / f"{program}.elf"
        run([*link, "-o", elf, HERE / f"{program}.c", HERE / "mps2.c", source])
        settings = f"enable=on,target=native{arguments if program == 'images' else ''}"
        outputs.append(run([*qemu, settings, *options, "-kernel", elf]))
    instructions, stack = map(int, outputs[0].split())
    figures = code, constants, ram, stack, instructions, equal_images(outputs[1], network, images)
    return [processor, *(f"{each:,}" for each in figures)]


def equal_images(content: bytes, network: Int8File, count: int) -> int:
    """Return how many images equal those of ONNX Runtime."""
    expected = network.generate(SEED, START, count).reshape(count, -1)
    images = np.frombuffer(content, np.uint8).reshape(count, -1)
    return int((images == expected).all(1).sum())


def print_table(head: list[str], rows: list[list[str]]) -> None:
    for row in (head, ["---", *["---:"] * (len(head) - 1)], *rows):
        print("|", " | ".join(row), "|")
    print()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="an int8 .onnx file")
    arguments = parser.parse_args()
    images = arguments.images
    with tempfile.TemporaryDirectory() as folder:
        try:
            with ImageGenerator(arguments.model, "cpu") as generator:
                info = generator.info
            copy = Path(folder, "net.onnx")
            copy.write_bytes(arguments.model.read_bytes())
            source = Path(write_c(copy, Path(folder))["c"])
        except CganError as error:
            sys.exit(f"error: {error}".replace(str(Path(folder, "net.onnx")), str(arguments.model)))
        network = Int8File(arguments.model.read_bytes(), info.noise_dim, info.classes)
        if not missing("arm-none-eabi-gcc", "qemu-system-arm"):
            few = max(images // 10, 1)
            rows = [microcontroller(source, network, each, few) for each in MICROCONTROLLERS]
            head = ["processor", "code", "constants", "static RAM", "stack", "instructions"]
            print_table([*head, f"equal images of {few:,}"], rows)
        rows = []
        for name, (emulator, *compiler) in HOSTED.items():
            if missing(emulator, compiler[0]):
                continue
            program = Path(folder) / "images"
            run([*compiler, "-I", source.parent, "-o", program, HERE / "images.c", source])
            command = [program, str(SEED), str(START), str(images)]
            if emulator:
                command.insert(0, emulator)
            rows.append([name, f"{equal_images(run(command), network, images):,}"])
        print_table(["processor", f"equal images of {images:,}"], rows)


if __name__ == "__main__":
    main()
