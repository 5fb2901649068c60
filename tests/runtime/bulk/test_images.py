"""The images and files that cgan-bulk writes."""

import json
from itertools import product
from pathlib import Path

import bulk_jobs as jobs
import numpy as np
import pytest
from bulk_jobs import Bulk
from cli_runs import names_in
from commands import Command
from pyarrow import parquet

from cgan_runtime import __version__
from cgan_runtime.cli.bulk import SHARD_IMAGES
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file.contract import MAX_BATCH
from cgan_runtime.model_file.reading import SHIPPED_MODEL


@pytest.mark.parametrize(
    ("file_format", "endings"),
    [("parquet", [".parquet"]), ("idx", ["-images-idx3-ubyte", "-labels-idx1-ubyte"])],
)
def test_images_do_not_depend_on_the_number_of_workers(
    bulk: Bulk, tmp_path: Path, shipped: ImageGenerator, file_format: str, endings: list[str]
) -> None:
    for workers in (1, 3):
        options = ("--seed", jobs.SEED, "--format", file_format, "--workers", workers)
        done = bulk(*jobs.JOB, *options, "--output", workers)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{workers}  seed 7  5,001 images in 6 shards\n"
        names = ["checksums", "job.json", "model.onnx", "shards"]
        assert names_in(tmp_path / str(workers)) == names
        assert names_in(tmp_path / str(workers) / "shards") == [
            f"{jobs.START + shard * jobs.SHARD_SIZE:012}{ending}"
            for shard, ending in product(range(6), endings)
        ]
    jobs.check_shards(tmp_path / "1", shipped, jobs.LABELS, jobs.START, jobs.COUNT)
    for path in jobs.shards_in(tmp_path / "1"):
        assert path.read_bytes() == (tmp_path / "3" / "shards" / path.name).read_bytes()


def test_float_model_gives_the_bytes_of_one_process(
    bulk: Bulk, tmp_path: Path, tiny_model: Path
) -> None:
    """Shards are whole batches, so every image is generated in the same batch."""
    assert SHARD_IMAGES % MAX_BATCH == 0
    generator = ImageGenerator(tiny_model, "cpu", threads=1)
    options = ("--count", 300, "--seed", jobs.SEED, "--format", "idx", "--output", "tiny")
    done = bulk(*options, "--shard-images", MAX_BATCH, "--model", tiny_model)
    assert done.returncode == 0
    jobs.check_shards(tmp_path / "tiny", generator, range(10), 0, 3000)


def test_parquet_files_have_the_documented_schema_and_row_groups(
    bulk: Bulk, tmp_path: Path, shipped: ImageGenerator
) -> None:
    count, group = 17 * MAX_BATCH, 16 * MAX_BATCH
    last = ("--start", 2**63 - count, "--seed", 2**64 - 1)
    words = ("--digits", "01", "--count", count // 2, *last, "--output", "digits")
    assert bulk(*words).returncode == 0
    (path,) = jobs.shards_in(tmp_path / "digits")
    schema = parquet.read_schema(path)
    assert [f"{field.name}: {field.type}" for field in schema] == [
        "image: binary",
        "label: int64",
        "seed: uint64",
        "index: int64",
    ]
    assert {key.decode(): value.decode() for key, value in schema.metadata.items()} == {
        "cgan.class_names": json.dumps(list("0123456789")),
        "cgan.channels": "1",
        "cgan.height": "28",
        "cgan.width": "28",
        "cgan.model_sha256": shipped.model_sha256,
    }
    metadata = parquet.read_metadata(path)
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert groups == [group, count - group]
    table = parquet.read_table(path)
    assert set(table["seed"].to_pylist()) == {2**64 - 1}
    assert table["index"].to_pylist()[-1] == 2**63 - 1
    rows = next(parquet.ParquetFile(path).iter_batches(5))
    images = np.frombuffer(rows["image"].buffers()[2], np.uint8).reshape(-1, 1, 28, 28)
    expected = shipped.generate([0, 1, 0, 1, 0], seed=2**64 - 1, start=2**63 - count)
    np.testing.assert_array_equal(images, expected)


def test_count_means_of_each_class_everywhere(
    bulk: Bulk, call: Command, tmp_path: Path, shipped: ImageGenerator
) -> None:
    words = ("--digits", "381", "--count", 5, "--seed", jobs.SEED, "--output")
    assert bulk(*words, "bulk", "--format", "idx").stdout == "bulk  seed 7  15 images in 1 shard\n"
    call("cgan-run", *words, "run.npy")
    (batch,) = shipped.stream([3, 8, 1], seed=jobs.SEED, count=5)
    np.testing.assert_array_equal(np.load(tmp_path / "run.npy"), batch.images)
    images, labels = jobs.shards_in(tmp_path / "bulk")
    assert images.read_bytes()[16:] == batch.images.tobytes()
    assert labels.read_bytes()[8:] == bytes([3, 8, 1] * 5) == bytes(batch.labels.tolist())


def test_folder_describes_its_job(finished: Path) -> None:
    manifest = json.loads((finished / "job.json").read_text())
    assert manifest["version"] == 1
    assert manifest["written_by"] == f"cgan-runtime {__version__}"
    values = [manifest[key] for key in ("seed", "start", "count", "labels", "shard_images")]
    assert values == [jobs.SEED, jobs.START, jobs.EACH, [*jobs.LABELS], jobs.SHARD_SIZE]
    assert (finished / "model.onnx").read_bytes() == SHIPPED_MODEL.read_bytes()
