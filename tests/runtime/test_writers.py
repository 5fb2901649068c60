import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cgan_runtime.errors import InputError, OutputError
from cgan_runtime.generator import Batch, ImageGenerator
from cgan_runtime.images import writers
from cgan_runtime.model_file.contract import ModelInfo

LABELS, COUNT = [3, 8, 1], 7


@pytest.fixture
def batches(generator: ImageGenerator) -> list[Batch]:
    """Seven images in three batches."""
    return list(generator.stream(LABELS, seed=7, count=COUNT, start=40, batch_size=3))


def read_idx(content: bytes) -> tuple[list[int], bytes]:
    """Return the shape and the values of an IDX file."""
    assert content[:3] == b"\0\0\x08"
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, 4).tolist()
    return shape, content[4 + 4 * dimensions :]


def read_files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "MNIST/raw").iterdir()}


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize(("split", "other"), [("train", "t10k"), ("t10k", "train")])
def test_idx_dataset_is_reproducible_and_readable(
    tmp_path: Path, batches: list[Batch], info: ModelInfo, split: str, other: str, gz: bool
) -> None:
    for folder in ("one", "two"):
        writers.write_idx(tmp_path / folder, batches, info, COUNT, split, gz=gz)
    files = read_files(tmp_path / "one")
    assert read_files(tmp_path / "two") == files
    assert files.pop("classes.txt").decode().split() == list("0123456789")
    suffix, sides = ".gz" if gz else "", [info.height, info.width]
    contents = {
        name: read_idx(gzip.decompress(content) if gz else content)
        for name, content in files.items()
    }
    pixels = b"".join(batch.images.tobytes() for batch in batches)
    assert contents == {
        f"{split}-images-idx3-ubyte{suffix}": ([COUNT, *sides], pixels),
        f"{split}-labels-idx1-ubyte{suffix}": ([COUNT], bytes([3, 8, 1, 3, 8, 1, 3])),
        f"{other}-images-idx3-ubyte{suffix}": ([0, *sides], b""),
        f"{other}-labels-idx1-ubyte{suffix}": ([0], b""),
    }


def test_existing_split_is_kept(tmp_path: Path, batches: list[Batch], info: ModelInfo) -> None:
    for split in ("train", "t10k", "train"):
        writers.write_idx(tmp_path, batches, info, COUNT, split, gz=False)
    files = read_files(tmp_path)
    for split in ("train", "t10k"):
        assert read_idx(files[f"{split}-labels-idx1-ubyte"])[0] == [COUNT]


def test_more_images_than_idx_supports_are_rejected(tmp_path: Path, info: ModelInfo) -> None:
    with pytest.raises(InputError, match="; generate fewer, or use --format npy"):
        writers.write_idx(tmp_path, [], info, 2**32, "train", gz=False)
    assert not list(tmp_path.iterdir())


def test_failed_dataset_leaves_no_files(
    tmp_path: Path, batches: list[Batch], info: ModelInfo
) -> None:
    def failing() -> Iterator[Batch]:
        yield batches[0]
        raise InputError("the model went away")

    with pytest.raises(InputError):
        writers.write_idx(tmp_path, failing(), info, COUNT, "train", gz=False)
    assert not read_files(tmp_path)


def test_each_png_is_named_after_its_class_and_index(
    tmp_path: Path, batches: list[Batch], generator: ImageGenerator, info: ModelInfo
) -> None:
    writers.write_pngs(tmp_path / "all", batches, info, 2, {"cgan:seed": "7"})
    names = ["1-000042", "1-000045", "3-000040", "3-000043", "3-000046", "8-000041", "8-000044"]
    assert sorted(path.stem for path in (tmp_path / "all").iterdir()) == names
    for name in names:
        label, index = map(int, name.split("-"))
        with Image.open(tmp_path / "all" / f"{name}.png") as picture:
            assert picture.info == {
                "cgan:seed": "7",
                "cgan:label": str(label),
                "cgan:index": str(index),
            }
            pixels = np.asarray(picture)[::2, ::2]
        expected = generator.generate(label, seed=7, start=index)[0, 0]
        assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_folder_that_is_a_file_is_rejected(
    tmp_path: Path, batches: list[Batch], info: ModelInfo
) -> None:
    path = tmp_path / "taken"
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"cannot create .*taken: .*; choose another path"):
        writers.write_pngs(path, batches, info, 1, {})
    assert path.read_text() == "mine"


def test_png_that_is_too_large_is_rejected(info: ModelInfo) -> None:
    with pytest.raises(InputError, match="--format npy"):
        writers.png_chunks([], info, count=2**31, columns=1, scale=1, text={})
