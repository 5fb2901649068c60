"""Search for bytes that get past graph validation, guided by its line coverage.

    python tests/fuzz/guided.py --runs 1000000 --models FOLDER

If graph validation accepts a file, protobuf must read the same graph from it: attackers hide
content where two readers disagree. This needs atheris, which `make fuzz` installs.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["cgan_runtime"]):
    from cgan_runtime import errors
    from cgan_runtime.model_file import checksum, contract, protobuf
    from cgan_runtime.model_file.validation import graph_validation, rules

import onnx
import onnx_mutants
import prepare

MAX_BYTES = 40_000  # of a file
COUNTS = Counter[str]()


def compare_readers(body: bytes) -> None:
    """Validate a file as the runtime does, and compare an accepted file with what protobuf reads.

    Raises:
        AssertionError: the two readers differ.
    """
    COUNTS["files"] += 1
    content = checksum.add_checksum(body)
    try:
        graph_validation.validate_model(content, "m.onnx")
    except errors.ModelError:
        return
    COUNTS["accepted"] += 1
    expected = onnx.ModelProto.FromString(content)
    actual = protobuf.read_message(content, rules.MODEL_SCHEMA)
    graph = actual["graph"]
    assert [(node["input"], node["output"], node["op_type"]) for node in graph["node"]] == [
        (list(node.input), list(node.output), node.op_type) for node in expected.graph.node
    ]
    assert [(tensor["name"], tensor["dims"]) for tensor in graph["initializer"]] == [
        (tensor.name, list(tensor.dims)) for tensor in expected.graph.initializer
    ]
    metadata = {entry.key: entry.value for entry in expected.metadata_props}
    entries = actual["metadata_props"]
    assert metadata == {entry.get("key", ""): entry.get("value", "") for entry in entries}
    inputs, outputs = map(tensor_specs, (expected.graph.input, expected.graph.output))
    with suppress(errors.ModelError):
        contract.read_info(metadata, inputs, outputs, "m.onnx")


def tensor_specs(values: Sequence[onnx.ValueInfoProto]) -> list[contract.TensorSpec]:
    """Return the names and shapes of inputs or outputs."""
    specs = []
    for value in values:
        axes = value.type.tensor_type.shape.dim
        shape = [axis.dim_param or axis.dim_value for axis in axes]
        specs.append(contract.TensorSpec(value.name, "tensor(float)", shape))
    return specs


def mutate(data: bytes, max_bytes: int, seed: int) -> bytes:
    """Change the fields of a model, or change bytes without regard to the format."""
    random = Random(seed)
    if random.random() < 0.5:
        model = onnx.ModelProto()
        try:
            model.ParseFromString(data)
            onnx_mutants.mutate_model(model, random)
            body = model.SerializeToString()
        except Exception:  # noqa: BLE001 - this mutation does not fit the model
            body = b""
        if body and len(body) <= max_bytes:
            return bytes(body)
    return bytes(atheris.Mutate(data, max_bytes))


def main() -> None:
    """Search and print the number of files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", type=Path, help="valid files; created if not given")
    options = parser.parse_args()
    folder = options.models or prepare.create_valid_files("onnx")
    corpus = folder / "bodies"
    corpus.mkdir(exist_ok=True)
    for path in folder.glob("*.onnx"):
        if path.stat().st_size < MAX_BYTES:
            (corpus / path.stem).write_bytes(path.read_bytes()[: -checksum.CHECKSUM_BYTES])
    if not any(corpus.iterdir()):
        sys.exit(f"error: no valid file is smaller than {MAX_BYTES:,} bytes; raise MAX_BYTES")
    start = time.perf_counter()
    arguments = [sys.argv[0], f"-runs={options.runs}", f"-seed={options.seed}", "-timeout=30"]
    arguments += [f"-max_len={MAX_BYTES}", "-rss_limit_mb=2560", "-verbosity=0", str(corpus)]

    def test_one_input(body: bytes) -> None:
        compare_readers(body)
        if COUNTS["files"] == options.runs:  # atheris ends the process after the last file
            seconds, accepted = time.perf_counter() - start, COUNTS["accepted"]
            print(f"{options.runs:,} files, {accepted:,} accepted, {seconds:.0f} s", flush=True)

    atheris.Setup(arguments, test_one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
