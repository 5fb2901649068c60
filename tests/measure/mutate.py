"""Change the code that everything rests on, a token at a time: do the tests notice?

    make mutation                                # all of SUBJECTS: an hour
    python tests/measure/mutate.py noise seal   # some of them

cosmic-ray makes the mutants, in a copy of the tree, and runs a module's own tests on each. The
score is the share that made a test fail. Mutants that survive are printed, to be read: some cannot
matter (an annotation, a text), the others ask for a test.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCORES = ROOT / "docs" / "reliability" / "mutation.json"
RUNTIME = "--confcutdir=tests/runtime"  # without the conftest that imports torch
SUBJECTS = {  # module, and the tests that answer for it
    "noise": ("runtime/src/cgan_runtime/noise.py", [RUNTIME, "tests/runtime/test_noise.py"]),
    "contract": (
        "runtime/src/cgan_runtime/model_file/contract.py",
        [RUNTIME, "tests/runtime/test_contract.py"],
    ),
    "seal": (
        "runtime/src/cgan_runtime/model_file/checksum.py",
        [RUNTIME, "tests/runtime/test_checksum.py"],
    ),
    "verify": ("export/src/cgan_export/verification.py", ["tests/export/test_verification.py"]),
}
# Of the dozen operators that another could be replaced by, the nearest. X | Y are annotations here.
NEAREST = {
    "Binary": "Add_Sub|Sub_Add|Mul_FloorDiv|Div_Mul|FloorDiv_Mul|Mod_FloorDiv|Pow_Mul|"
    "LShift_RShift|RShift_LShift|BitAnd_BitXor|BitXor_BitAnd",
    "Comparison": "Eq_NotEq|NotEq_Eq|Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|In_NotIn|NotIn_In|Is_IsNot|"
    "IsNot_Is",
}
SKIPPED = [rf"core/Replace{kind}Operator_(?!({near})$)" for kind, near in NEAREST.items()]
TIMEOUT = 120.0  # seconds a mutant may take
FOLDERS = ("runtime", "training", "export", "tests", "benchmarks", "docs")
FILES = ("pyproject.toml", "conftest.py")


def main() -> None:
    """Mutate, and write the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("subjects", nargs="*", choices=[[], *SUBJECTS])
    names = parser.parse_args().subjects or list(SUBJECTS)
    scores = json.loads(SCORES.read_text()) if SCORES.exists() else {}
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        for subject in names:
            scores[subject] = mutate(Path(name) / subject, *SUBJECTS[subject])
            print(json.dumps({subject: scores[subject]}), flush=True)
    SCORES.parent.mkdir(exist_ok=True)
    SCORES.write_text(json.dumps(scores, indent=2, sort_keys=True) + "\n")


def mutate(place: Path, module: str, tests: list[str]) -> dict[str, Any]:
    """Run all mutants of a module in a copy of the tree; print those that survive."""
    place.mkdir()
    compiled = shutil.ignore_patterns(
        "__pycache__"
    )  # a mutant may be as old and long as its source
    for each in FOLDERS:
        shutil.copytree(ROOT / each, place / each, ignore=compiled)
    for each in FILES:
        shutil.copy(ROOT / each, place / each)
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {' '.join(tests)}"
    (place / "mutation.toml").write_text(
        f'[cosmic-ray]\nmodule-path = "{module}"\ntimeout = {TIMEOUT}\nexcluded-modules = []\n'
        f'test-command = "{command}"\n[cosmic-ray.distributor]\nname = "local"\n'
        f"[cosmic-ray.filters.operators-filter]\nexclude-operators = {SKIPPED}\n"
    )
    sources = [str(place / stage / "src") for stage in ("runtime", "training", "export")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sources),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for step in (["baseline", "mutation.toml"], ["init", "mutation.toml", "all.sqlite"]):
        run("cosmic-ray", place, environment, *step)
    run("cr-filter-operators", place, environment, "all.sqlite", "mutation.toml")
    run("cosmic-ray", place, environment, "exec", "mutation.toml", "all.sqlite")
    return read_results(run("cosmic-ray", place, environment, "dump", "all.sqlite"), place / module)


def run(name: str, place: Path, environment: dict[str, str], *arguments: str) -> str:
    program = Path(sys.executable).with_name(name)
    done = subprocess.run(
        [program, *arguments],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def read_results(dump: str, module: Path) -> dict[str, Any]:
    """Count what became of the mutants."""
    lines = module.read_text().splitlines()
    found = {"mutants": 0, "killed": 0}
    for item, result in map(json.loads, dump.splitlines()):
        (mutation,) = item["mutations"]
        row, _ = mutation["start_pos"]
        if result["worker_outcome"] == "skipped":
            continue
        found["mutants"] += 1
        if result["test_outcome"] == "killed":
            found["killed"] += 1
        else:
            print(f"{module.name}:{row}: {mutation['operator_name']}: {lines[row - 1].strip()}")
    return found | {"score": round(found["killed"] / found["mutants"], 3)}


if __name__ == "__main__":
    main()
