"""Write valid and hostile model files, with the error message of cgan_runtime about each.

    python tests/web/corpus.py FOLDER MUTANTS

The files are those that the runtime's tests of validation and contract read, and MUTANTS mutants of
two models. FOLDER/cases.json lists them with the expected error message, or "" for a valid file.
The web page must report equal messages.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cgan_runtime.errors import ModelError
from cgan_runtime.model_file import contract, protobuf
from cgan_runtime.model_file.validation import graph_validation, rules

ROOT = Path(__file__).parents[2]
NAMES = "graph_validation operators operator_errors batch_independence work_limits contract"
NAMES += " bad_models checksum"
TESTS = [ROOT / "tests/runtime" / f"test_{name}.py" for name in NAMES.split()]
MAX_BYTES = 2**23  # of a file; larger ones add nothing but time
validate_model, read_info = graph_validation.validate_model, contract.read_info


class Corpus:
    """Records the files and metadata that the tests read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cases: list[dict[str, Any]] = []
        self._seen: set[str] = set()

    def add_file(self, content: bytes, kind: str) -> None:
        """Add a file and its error message, once."""
        name = sha256(content).hexdigest()[:16]
        if name in self._seen or not 0 < len(content) <= MAX_BYTES:
            return
        self._seen.add(name)
        (self.folder / name).write_bytes(content)
        message, max_batch = error_of_file(content)
        case = {"kind": kind, "file": name, "error": message, "maxBatch": max_batch}
        self.cases.append(case)

    def validate(self, content: bytes, source: str) -> graph_validation.ValidModel:
        """Validate a file and record it."""
        self.add_file(content, "file of a test")
        return validate_model(content, source)

    def read(
        self,
        metadata: Mapping[str, str],
        inputs: Sequence[contract.TensorSpec],
        outputs: Sequence[contract.TensorSpec],
        source: str,
    ) -> contract.ModelInfo:
        """Read metadata and record them."""
        message = ""
        try:
            return read_info(metadata, inputs, outputs, source)
        except ModelError as error:
            message = str(error)
            raise
        finally:
            if contract.MAX_GOLDEN_BYTES == 2**26:  # otherwise a test has changed it
                case: dict[str, Any] = {"kind": "metadata"}
                case |= {"inputs": list(map(_plain, inputs)), "outputs": list(map(_plain, outputs))}
                case |= {"metadata": dict(metadata), "source": source, "error": message}
                self.cases.append(case)


def _plain(spec: contract.TensorSpec) -> list[Any]:
    return [spec.name, spec.type, list(spec.shape)]


def error_of_file(content: bytes) -> tuple[str, int]:
    """Return the error message for a file, or an empty text and the number of images of a run."""
    try:
        _, max_batch = validate_model(content, "m.onnx")
        entries = protobuf.read_message(content, rules.METADATA_SCHEMA, strict=False)
        metadata = {
            entry.get("key", ""): entry.get("value", "") for entry in entries["metadata_props"]
        }
        read_info(metadata, *graph_validation.declared_specs(content), "m.onnx")
    except ModelError as error:
        return str(error), 0
    return "", max_batch


def main() -> None:
    """Write the corpus."""
    folder, mutants = Path(sys.argv[1]), int(sys.argv[2])
    corpus = Corpus(folder)
    graph_validation.validate_model = corpus.validate  # before generator.py and the tests import it
    contract.read_info = corpus.read
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    if pytest.main([*options, *map(str, TESTS)]):
        sys.exit("error: the runtime's tests fail; fix them first")
    sys.path.insert(0, str(ROOT / "tests" / "fuzz"))
    from onnx_mutants import mutate

    valid = [each["file"] for each in corpus.cases if "file" in each and not each["error"]]
    originals = [(folder / name).read_bytes() for name in valid[:2]]
    random = Random(1)
    for index in range(mutants):
        content, kind, _ = mutate(originals[index % len(originals)], random)
        corpus.add_file(content, kind)
    (folder / "cases.json").write_text(json.dumps(corpus.cases), encoding="utf-8")


if __name__ == "__main__":
    main()
