"""Does another processor draw the same digits? The runtime, on processors that qemu emulates.

    make test-haswell    # x86-64 with AVX2 and no VNNI: the runtime of this environment
    make test-arm64      # a Cortex-A72, as in a Raspberry Pi 4: the wheel, Debian's Python
    python tests/emulated/processors.py arm64 --model seed.onnx

Draws 1,000 digits with the model that ships, or another, here and there, and compares every byte.
Needs qemu-user-static; arm64 needs debootstrap and dpkg besides, and fetches some 100 MB from
Debian and the package index into .emulated/ the first time.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

import numpy as np

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".emulated"
# onnxruntime 1.32 asks the processor in a way that emulation does not answer.
ARM_PACKAGES = ("onnxruntime==1.23.2", "numpy", "click")
ARM_PYTHON = "3.11"  # Debian 12's
DRAW = [
    *("-c", "from cgan_runtime.cli.run import main; main()"),
    *("--digits", "0123456789", "--count", "100", "--seed", "5", "--provider", "cpu"),
]


def main() -> None:
    """Draw here and there, compare, and leave with 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("processor", choices=["haswell", "arm64"])
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    processor, draw = options.processor, [*DRAW]
    if options.model:
        draw += ["--model", str(options.model)]
    emulated = haswell() if processor == "haswell" else arm64()
    with tempfile.TemporaryDirectory() as folder:
        here, there = Path(folder) / "here.npy", Path(folder) / "there.npy"
        subprocess.run([sys.executable, *draw, "--output", here], check=True)
        # numpy's own library would otherwise ask for the host's processor.
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": ""}
        subprocess.run([*emulated, *draw, "--output", there], check=True, env=environment)
        one, other = np.load(here).astype(int), np.load(there).astype(int)
    differ = int((one != other).sum())
    print(f"{processor}: {len(one):,} images, {differ} of {one.size:,} bytes differ")
    sys.exit(1 if differ else 0)


def tool(name: str) -> str:
    """Return the path of a program, or say what to install."""
    path = shutil.which(name)
    if path is None:
        sys.exit(f"error: there is no {name}; on Debian: apt install qemu-user-static debootstrap")
    return path


def haswell() -> list[str]:
    """Return what runs this environment's Python on an emulated Haswell."""
    return [tool("qemu-x86_64-static"), "-cpu", "Haswell", sys.executable]


def arm64() -> list[str]:
    """Return what runs Debian's Python, with the wheel, on an emulated Cortex-A72."""
    qemu, root, site = tool("qemu-aarch64-static"), KEPT / "root", KEPT / "site"
    if not (root / "usr/bin" / f"python{ARM_PYTHON}").exists():
        debian(root)
    shutil.rmtree(site, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, ROOT / "runtime"], check=True)
        platforms = [f"manylinux_2_{minor}_aarch64" for minor in (17, 27, 28)]
        subprocess.run(
            [
                *(*pip, "download", "--dest", folder, "--only-binary=:all:"),
                *("--python-version", ARM_PYTHON, *ARM_PACKAGES),
                *(word for each in platforms for word in ("--platform", each)),
                *("--platform", "manylinux2014_aarch64"),
            ],
            check=True,
        )
        for wheel in Path(folder).glob("*.whl"):
            with ZipFile(wheel) as archive:
                archive.extractall(site)
    variables = ["-E", f"PYTHONPATH={site}"]
    return [qemu, "-cpu", "cortex-a72", "-L", str(root), *variables, str(python_of(root))]


def python_of(root: Path) -> Path:
    return root / "usr/bin" / f"python{ARM_PYTHON}"


def debian(root: Path) -> None:
    """Unpack Debian 12's Python for arm64, and what it needs, into a folder."""
    wanted = f"python{ARM_PYTHON},libpython{ARM_PYTHON}-stdlib,libstdc++6,libgomp1"
    subprocess.run(
        [
            *(tool("debootstrap"), "--foreign", "--arch=arm64", "--variant=minbase"),
            *(f"--include={wanted}", "bookworm", root),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for package in (root / "var/cache/apt/archives").glob("*.deb"):
        subprocess.run([tool("dpkg"), "-x", package, root], check=True)


if __name__ == "__main__":
    main()
