"""What cgan-bulk draws."""

import json
from itertools import product
from pathlib import Path

import numpy as np
from bulk_jobs import (
    COUNT,
    LABELS,
    SAME_JOB,
    SEED,
    SHARD,
    START,
    Bulk,
    of_one_process,
    read_idx,
    read_parquet,
    shards_in,
)
from folders import names_in
from pyarrow import parquet

from cgan_runtime import __version__
from cgan_runtime.cli.bulk import SHARD_IMAGES
from cgan_runtime.generator import LARGEST_BATCH, SHIPPED_MODEL, ImageGenerator


def test_parquet_is_what_one_process_draws_whatever_the_workers(
    bulk: Bulk, tmp_path: Path, shipped: ImageGenerator
) -> None:
    for workers in (1, 2, 3):
        done = bulk(*SAME_JOB, "--seed", SEED, "--workers", workers, "--output", workers)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{workers}  seed 7  5,000 images in 6 shards\n"
        assert names_in(tmp_path / str(workers)) == [".lock", "job.json", "model.onnx", "shards"]
        assert names_in(tmp_path / str(workers) / "shards") == [
            f"{START + shard * SHARD:012}.parquet" for shard in range(6)
        ]
    wanted, labels = of_one_process(shipped, LABELS, SEED, START, COUNT)
    found = read_parquet(tmp_path / "1")
    np.testing.assert_array_equal(found[0], wanted)
    assert found[1:] == (labels, {SEED}, list(range(START, START + COUNT)))
    for one, two, three in zip(*(shards_in(tmp_path / name) for name in "123"), strict=True):
        assert one.read_bytes() == two.read_bytes() == three.read_bytes()


def test_idx_is_what_one_process_draws_whatever_the_workers(
    bulk: Bulk, tmp_path: Path, shipped: ImageGenerator
) -> None:
    for workers in (1, 2):
        options = ("--seed", SEED, "--workers", workers, "--format", "idx", "--output", workers)
        done = bulk(*SAME_JOB, *options)
        assert (done.returncode, done.stderr) == (0, "")
        assert names_in(tmp_path / str(workers) / "shards") == sorted(
            f"{START + shard * SHARD:012}-{kind}-ubyte"
            for shard, kind in product(range(6), ("images-idx3", "labels-idx1"))
        )
        wanted, labels = of_one_process(shipped, LABELS, SEED, START, COUNT)
        images, found = read_idx(tmp_path / str(workers))
        np.testing.assert_array_equal(images, wanted)
        assert found == labels


def test_a_float_model_draws_the_same_bytes_too(
    bulk: Bulk, tmp_path: Path, tiny_model: Path
) -> None:
    """A shard is whole batches, so each image is drawn beside the same others."""
    assert SHARD_IMAGES % LARGEST_BATCH == 0
    generator = ImageGenerator(tiny_model, "cpu", threads=1)
    wanted, _ = of_one_process(generator, tuple(range(10)), 3, 0, 5000)
    options = ("--count", 5000, "--seed", 3, "--format", "idx", "--shard-images", LARGEST_BATCH)
    assert bulk(*options, "--model", tiny_model, "--output", "tiny").returncode == 0
    files = sorted((tmp_path / "tiny" / "shards").glob("*images*"))
    assert b"".join(path.read_bytes()[16:] for path in files) == wanted.tobytes()


def test_a_parquet_file_says_what_it_holds(
    bulk: Bulk, tmp_path: Path, shipped: ImageGenerator
) -> None:
    done = bulk("--count", 40_000, "--seed", 2**64 - 1, "--output", "digits")
    assert done.returncode == 0, done.stderr
    (path,) = shards_in(tmp_path / "digits")
    schema = parquet.read_schema(path)
    assert [f"{field.name}: {field.type}" for field in schema] == [
        "image: fixed_size_binary[784]",
        "label: int64",
        "seed: uint64",
        "index: int64",
    ]
    told = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    assert told == {
        "cgan.class_names": json.dumps(list("0123456789")),
        "cgan.height": "28",
        "cgan.width": "28",
        "cgan.model_sha256": shipped.model_sha256,
    }
    found = parquet.read_metadata(path)
    groups = [found.row_group(group).num_rows for group in range(found.num_row_groups)]
    assert groups == [16 * LARGEST_BATCH, 16 * LARGEST_BATCH, 40_000 - 32 * LARGEST_BATCH]
    assert set(parquet.read_table(path)["seed"].to_pylist()) == {2**64 - 1}
    rows = next(parquet.ParquetFile(path).iter_batches(5))
    images = np.frombuffer(rows["image"].buffers()[1], np.uint8).reshape(-1, 1, 28, 28)
    np.testing.assert_array_equal(images, shipped.generate([0, 1, 2, 3, 4], seed=2**64 - 1))


def test_the_last_indices_there_are(bulk: Bulk, tmp_path: Path) -> None:
    done = bulk("--count", 3, "--start", 2**63 - 3, "--seed", 1, "--output", "digits")
    assert done.returncode == 0, done.stderr
    assert read_parquet(tmp_path / "digits")[3] == [2**63 - 3, 2**63 - 2, 2**63 - 1]


def test_the_folder_says_what_it_holds(finished: Path) -> None:
    told = json.loads((finished / "job.json").read_text())
    assert told["version"] == 1
    assert told["written_by"] == f"cgan-runtime {__version__}"
    assert (told["seed"], told["start"], told["count"]) == (SEED, START, COUNT)
    assert (told["labels"], told["shard_images"]) == ([3, 8, 1], SHARD)
    assert (finished / "model.onnx").read_bytes() == SHIPPED_MODEL.read_bytes()
