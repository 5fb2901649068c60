"""Check that the runtime generates the same bytes with every version of Python.

    make test-pythons                                # Python 3.10 to 3.14, those on the PATH
    python tests/emulated/pythons.py python3.13 ...  # these versions

Builds the wheel and installs it with the newest onnxruntime for each Python. Then `cgan-check`
compares the golden images, and a hundred images must be the same bytes with all versions.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHONS = [f"python3.{minor}" for minor in range(10, 15)]
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
OPTIONS = ("--digits", "0123456789", "--count", "10", "--seed", "5", "--format", "npy")


def main() -> None:
    """Test each Python; exit with 1 if one fails or generates other images."""
    requested = sys.argv[1:]
    hashes = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in requested or PYTHONS:
            python = shutil.which(name)
            if python is not None:
                hashes[name] = hash_images(python, Path(folder) / name.replace("/", "-"))
            elif requested:
                sys.exit(f"error: {name} is not on the PATH; install it")
            else:
                print(f"{name}: not installed")
    if len(set(hashes.values())) != 1:
        sys.exit(f"error: the images differ, or no Python was found; hashes: {hashes}")


def hash_images(python: str, folder: Path) -> str:
    """Install the wheel for a Python, check it, and return the hash of the images it generates."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    pip: list[str | Path] = [scripts / "python", *PIP]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "-w", folder / "wheel", ROOT / "runtime"], check=True
    )
    (wheel,) = (folder / "wheel").glob("*.whl")
    subprocess.run([*pip, "install", f"{wheel}[cpu]"], check=True)
    report = subprocess.check_output([scripts / "cgan-check"], text=True)
    print("\n".join(report.splitlines()[:2]))
    images = subprocess.check_output([scripts / "cgan-run", *OPTIONS, "--output", "-"])
    return hashlib.sha256(images).hexdigest()


if __name__ == "__main__":
    main()
