"""Mutate the most critical modules one token at a time, and count the changes that tests detect.

    make mutation                                   # all SUBJECTS: an hour
    python tests/measure/mutation.py noise checksum # some of them

cosmic-ray creates the mutants in a copy of the tree, and runs a module's own tests on each. The
score is the share of mutants that made a test fail. Surviving mutants are printed for review: some
cannot matter (annotations, texts), the others call for a test.
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
NO_TORCH = "--confcutdir=tests/runtime"  # skips the conftest.py that imports torch
SUBJECTS = {  # a module, and pytest's arguments for its tests
    "noise": ("runtime/src/cgan_runtime/noise.py", [NO_TORCH, "tests/runtime/test_noise.py"]),
    "contract": (
        "runtime/src/cgan_runtime/model_file/contract.py",
        [NO_TORCH, "tests/runtime/test_contract.py"],
    ),
    "checksum": (
        "runtime/src/cgan_runtime/model_file/checksum.py",
        [NO_TORCH, "tests/runtime/test_checksum.py"],
    ),
    "verification": (
        "export/src/cgan_export/verification/verify.py",
        ["tests/export/test_verification.py"],
    ),
}
# Of the replacements of an operator, only the most similar one is used. BitOr is in annotations.
REPLACEMENTS = {
    "Binary": "Add_Sub|Sub_Add|Mul_FloorDiv|Div_Mul|FloorDiv_Mul|Mod_FloorDiv|Pow_Mul|"
    "LShift_RShift|RShift_LShift|BitAnd_BitXor|BitXor_BitAnd",
    "Comparison": "Eq_NotEq|NotEq_Eq|Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|In_NotIn|NotIn_In|Is_IsNot|"
    "IsNot_Is",
}
SKIPPED = [rf"core/Replace{kind}Operator_(?!({kept})$)" for kind, kept in REPLACEMENTS.items()]
TIMEOUT = 120.0  # seconds per mutant
FOLDERS = ("runtime", "training", "export", "tests", "benchmarks", "docs")
FILES = ("pyproject.toml", "conftest.py")


def main() -> None:
    """Run the mutants, and write the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("subjects", nargs="*", choices=[[], *SUBJECTS])
    names = parser.parse_args().subjects or list(SUBJECTS)
    scores = json.loads(SCORES.read_text()) if SCORES.exists() else {}
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        for name in names:
            scores[name] = mutate(Path(folder) / name, *SUBJECTS[name])
            print(json.dumps({name: scores[name]}), flush=True)
    SCORES.parent.mkdir(exist_ok=True)
    SCORES.write_text(json.dumps(scores, indent=2, sort_keys=True) + "\n")


def mutate(tree: Path, module: str, tests: list[str]) -> dict[str, Any]:
    """Run all mutants of a module in a copy of the tree, and print those that survive."""
    tree.mkdir()
    # Python would use stale bytecode for a mutant with the mtime and size of the original.
    no_bytecode = shutil.ignore_patterns("__pycache__")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tree / folder, ignore=no_bytecode)
    for file in FILES:
        shutil.copy(ROOT / file, tree / file)
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {' '.join(tests)}"
    (tree / "mutation.toml").write_text(
        f'[cosmic-ray]\nmodule-path = "{module}"\ntimeout = {TIMEOUT}\nexcluded-modules = []\n'
        f'test-command = "{command}"\n[cosmic-ray.distributor]\nname = "local"\n'
        f"[cosmic-ray.filters.operators-filter]\nexclude-operators = {SKIPPED}\n"
    )
    sources = [str(tree / stage / "src") for stage in ("runtime", "training", "export")]
    environment = {"PYTHONPATH": os.pathsep.join(sources), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(name: str, *arguments: str) -> str:
        return subprocess.run(
            [Path(sys.executable).with_name(name), *arguments],
            cwd=tree,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    run("cosmic-ray", "baseline", "mutation.toml")
    run("cosmic-ray", "init", "mutation.toml", "all.sqlite")
    run("cr-filter-operators", "all.sqlite", "mutation.toml")
    run("cosmic-ray", "exec", "mutation.toml", "all.sqlite")
    return read_results(run("cosmic-ray", "dump", "all.sqlite"), tree / module)


def read_results(dump: str, module: Path) -> dict[str, Any]:
    """Count the mutants and those that the tests detected."""
    lines = module.read_text().splitlines()
    mutants = killed = 0
    for item, result in map(json.loads, dump.splitlines()):
        (mutation,) = item["mutations"]
        row, _ = mutation["start_pos"]
        if result["worker_outcome"] == "skipped":
            continue
        mutants += 1
        if result["test_outcome"] == "killed":
            killed += 1
        else:
            print(f"{module.name}:{row}: {mutation['operator_name']}: {lines[row - 1].strip()}")
    return {"mutants": mutants, "killed": killed, "score": round(killed / mutants, 3)}


if __name__ == "__main__":
    main()
