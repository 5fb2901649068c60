"""Search for bytes that get past the screen, led by which lines of it they reach.

    python tests/fuzz/guided.py --runs 1000000 --models FOLDER

Where the screen lets a file pass, protobuf must read the same graph in it: what one reader sees and
another does not is how files are smuggled. Needs atheris (make fuzz installs it).
"""

import argparse
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["cgan_runtime"]):
    from cgan_runtime import errors
    from cgan_runtime.model_file import checksum, contract, graph_validation, protobuf

import onnx
import onnx_mutants
import prepare

MOST_BYTES = 40_000  # of a file to begin with, and to end with
COUNTS = Counter[str]()


def evaluate(body: bytes) -> None:
    """Look at a file as the runtime does, and at one that passes as protobuf does.

    Raises:
        AssertionError: the two differ.
    """
    COUNTS["files"] += 1
    content = checksum.add_checksum(body)
    try:
        graph_validation.screen(content, "m.onnx")
    except errors.ModelError:
        return
    COUNTS["passed"] += 1
    theirs = onnx.ModelProto.FromString(content)
    ours = protobuf.read(content, graph_validation._MODEL)
    assert [(each[1], each[2], each[4]) for each in ours[7][1]] == [
        (list(each.input), list(each.output), each.op_type) for each in theirs.graph.node
    ]
    assert [(each[8], each[1]) for each in ours[7][5]] == [
        (each.name, list(each.dims)) for each in theirs.graph.initializer
    ]
    metadata = {each.key: each.value for each in theirs.metadata_props}
    assert metadata == {each.get(1, ""): each.get(2, "") for each in ours[14]}
    inputs, outputs = (
        [
            contract.Tensor(
                each.name,
                "tensor(float)",
                [axis.dim_param or axis.dim_value for axis in each.type.tensor_type.shape.dim],
            )
            for each in values
        ]
        for values in (theirs.graph.input, theirs.graph.output)
    )
    with suppress(errors.ModelError):
        contract.read_info(metadata, inputs, outputs, "m.onnx")


def changed(data: bytes, most: int, seed: int) -> bytes:
    """Change bytes blindly, or fields of the message that they are."""
    random = Random(seed)
    if random.random() < 0.5:
        model = onnx.ModelProto()
        try:
            model.ParseFromString(data)
            onnx_mutants.MUTATIONS[random.choice(onnx_mutants.WEIGHTED)](model, random)
            body = model.SerializeToString()
        except Exception:  # noqa: BLE001 - there is nothing in it to change so
            body = b""
        if body and len(body) <= most:
            return bytes(body)
    return bytes(atheris.Mutate(data, most))


def main() -> None:
    """Search, and tell what was tried."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", type=Path, help="sound files; made anew where left out")
    options = parser.parse_args()
    folder = options.models or prepare.sound_files("onnx")
    corpus = folder / "bodies"
    corpus.mkdir(exist_ok=True)
    for path in folder.glob("*.onnx"):
        if path.stat().st_size < MOST_BYTES:  # the larger ones teach nothing more
            (corpus / path.stem).write_bytes(path.read_bytes()[: -checksum.CHECKSUM_BYTES])
    if not any(corpus.iterdir()):
        sys.exit(f"error: no sound file below {MOST_BYTES:,} bytes to begin with; raise MOST_BYTES")
    began = time.perf_counter()
    arguments = [f"-runs={options.runs}", f"-seed={options.seed}", "-timeout=30"]
    limits = [f"-max_len={MOST_BYTES}", "-rss_limit_mb=2560", "-verbosity=0", str(corpus)]

    def examine_and_tell(body: bytes) -> None:
        evaluate(body)
        if COUNTS["files"] == options.runs:  # atheris ends the process without a word
            seconds = time.perf_counter() - began
            print(
                f"{options.runs:,} files, {COUNTS['passed']:,} passed, {seconds:.0f} s", flush=True
            )

    atheris.Setup([sys.argv[0], *arguments, *limits], examine_and_tell, custom_mutator=changed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
