"""Does the runtime draw the same digits in every Python? The wheel, in an environment of each.

    make test-pythons                                # those of 3.10 to 3.14 that are on the PATH
    python tests/emulated/pythons.py python3.13 ...  # these

Builds the wheel, installs it with the newest onnxruntime that each Python gets, lets `cgan-check`
compare the golden images, and draws a hundred digits, which must be the same bytes in all of them.
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
DRAW = (
    "--digits",
    "0123456789",
    "--count",
    "10",
    "--seed",
    "5",
    "--format",
    "npy",
    "--output",
    "-",
)


def main() -> None:
    """Try them, and leave with 1 where one fails or draws otherwise."""
    asked = sys.argv[1:]
    hashes = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in asked or PYTHONS:
            python = shutil.which(name)
            if python is not None:
                hashes[name] = drawn(python, Path(folder) / name.replace("/", "-"))
            elif asked:
                sys.exit(f"error: there is no {name}; install it")
            else:
                print(f"{name}: not here")
    if len(set(hashes.values())) != 1:
        sys.exit(f"error: they draw differently, or none is here: {hashes}")


def drawn(python: str, folder: Path) -> str:
    """Install the wheel for a Python, check it, and return the hash of what it draws."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    inner = scripts / "python"
    subprocess.run(
        [inner, *PIP, "wheel", "--no-deps", "-w", folder / "wheel", ROOT / "runtime"], check=True
    )
    (wheel,) = (folder / "wheel").glob("*.whl")
    subprocess.run([inner, *PIP, "install", f"{wheel}[cpu]"], check=True)
    checked = subprocess.run([scripts / "cgan-check"], check=True, capture_output=True, text=True)
    print("\n".join(checked.stdout.splitlines()[:2]))
    images = subprocess.run([scripts / "cgan-run", *DRAW], check=True, capture_output=True).stdout
    return hashlib.sha256(images).hexdigest()


if __name__ == "__main__":
    main()
