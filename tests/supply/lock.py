"""Write requirements.lock: the SHA-256 of every file that pip may install for development and CI.

python tests/supply/lock.py        # make lock; needs uv and an index

torch and torchvision are left out, because CI may install them from another index: their
builds for the CPU have the same versions, but other files and other dependencies.
"""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from supply_table import ROOT, read_pyproject

LOCK = ROOT / "requirements.lock"
EXTRAS = ("cpu", "tensorboard")  # of `make setup`
TOOLS = (
    "pip>=25.1",
    "hatchling>=1.27",
    "editables",
)  # pip itself, and what builds the editable packages
UNLOCKED = re.compile(r"(torch|torchvision|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
HEADER = "# Written by `make lock`. pip installs only files with these hashes.\n"


def requirements() -> list[str]:
    """Return what `make setup` installs from the index, directly."""
    found = {*TOOLS}
    for folder in ("runtime", "training", "export"):
        project = read_pyproject(ROOT / folder)[1]["project"]
        extras = project.get("optional-dependencies", {})
        found |= {
            *project["dependencies"],
            *(each for key in EXTRAS for each in extras.get(key, ())),
        }
    found |= {*read_pyproject(ROOT)[1]["dependency-groups"]["dev"]}
    return sorted(each for each in found if not each.startswith("cgan-"))


def main() -> None:
    """Resolve the requirements for all platforms, and write the lock file."""
    with TemporaryDirectory() as folder:
        source, output = Path(folder) / "in.txt", Path(folder) / "out.txt"
        source.write_text("\n".join(requirements()))
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
        command += ["--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate"]
        command += ["--constraint", str(ROOT / "constraints.txt"), "--output-file", str(output)]
        subprocess.run([*command, str(source)], check=True, stdout=subprocess.DEVNULL)
        blocks = re.split(r"\n(?=\S)", output.read_text())
    kept = [block.rstrip("\n") for block in blocks if not UNLOCKED.match(block)]
    LOCK.write_text(HEADER + "\n".join(kept) + "\n")


if __name__ == "__main__":
    main()
