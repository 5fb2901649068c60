"""Check that the runtime generates the same bytes on other processors, emulated by qemu.

    make test-haswell    # x86-64 with AVX2 but without VNNI: this environment's runtime
    make test-arm64      # a Cortex-A72, as in a Raspberry Pi 4: the wheel on Debian's Python
    python tests/emulated/processors.py arm64 --model edge.onnx

The script generates 1,000 images on this processor and on the emulated one, and compares all bytes.
It needs qemu-user-static. For arm64 it also needs debootstrap and dpkg, and the first run
downloads about 100 MB from Debian and the package index into .emulated/.
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
CACHE = ROOT / ".emulated"
# onnxruntime 1.32 detects the processor in a way that qemu does not support.
ARM_PACKAGES = ("onnxruntime==1.23.2", "numpy", "click")
ARM_PYTHON = "3.11"  # of Debian 12
START = ["-c", "from cgan_runtime.cli.run import main; main()"]
OPTIONS = ["--digits", "0123456789", "--count", "100", "--seed", "5", "--provider", "cpu"]


def main() -> None:
    """Generate the images on both processors; exit with 1 if a byte differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("processor", choices=["haswell", "arm64"])
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    generate = [*START, *OPTIONS, *(("--model", str(options.model)) if options.model else ())]
    emulated_python = haswell() if options.processor == "haswell" else arm64()
    with tempfile.TemporaryDirectory() as folder:
        native, emulated = Path(folder) / "native.npy", Path(folder) / "emulated.npy"
        subprocess.run([sys.executable, *generate, "--output", native], check=True)
        # Otherwise OpenBLAS detects the host's processor.
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": ""}
        command = [*emulated_python, *generate, "--output", emulated]
        subprocess.run(command, check=True, env=environment)
        images, others = np.load(native), np.load(emulated)
    differences = int((images != others).sum())
    print(f"{options.processor}: {differences} of {images.size:,} bytes of the images differ")
    sys.exit(1 if differences else 0)


def tool(name: str) -> str:
    """Return the path of a program, or exit with a hint."""
    path = shutil.which(name)
    if path is None:
        sys.exit(f"error: {name} is missing; on Debian: apt install qemu-user-static debootstrap")
    return path


def haswell() -> list[str]:
    """Return the command that runs this environment's Python on an emulated Haswell."""
    return [tool("qemu-x86_64-static"), "-cpu", "Haswell", sys.executable]


def arm64() -> list[str]:
    """Return the command that runs Debian's Python, with the wheel, on an emulated Cortex-A72."""
    qemu, root, site = tool("qemu-aarch64-static"), CACHE / "root", CACHE / "site"
    python = root / "usr/bin" / f"python{ARM_PYTHON}"
    if not python.exists():
        unpack_debian(root)
    shutil.rmtree(site, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, ROOT / "runtime"], check=True)
        download = [*pip, "download", "--dest", folder, "--only-binary=:all:"]
        for release in ("2014", "_2_17", "_2_27", "_2_28"):
            download += ["--platform", f"manylinux{release}_aarch64"]
        subprocess.run([*download, "--python-version", ARM_PYTHON, *ARM_PACKAGES], check=True)
        for wheel in Path(folder).glob("*.whl"):
            with ZipFile(wheel) as archive:
                archive.extractall(site)
    return [qemu, "-cpu", "cortex-a72", "-L", str(root), "-E", f"PYTHONPATH={site}", str(python)]


def unpack_debian(root: Path) -> None:
    """Unpack Debian 12's Python for arm64 and its libraries into a folder."""
    packages = f"python{ARM_PYTHON},libpython{ARM_PYTHON}-stdlib,libstdc++6,libgomp1"
    options = ["--foreign", "--arch=arm64", "--variant=minbase", f"--include={packages}"]
    command = [tool("debootstrap"), *options, "bookworm", str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for package in (root / "var/cache/apt/archives").glob("*.deb"):
        subprocess.run([tool("dpkg"), "-x", package, root], check=True)


if __name__ == "__main__":
    main()
