import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cgan_runtime.errors import InputError, OutputError
from cgan_runtime.generator import Batch, ImageGenerator
from cgan_runtime.images import writers
from cgan_runtime.model_file.contract import ModelInfo

Images = NDArray[np.uint8]
LABELS, COUNT = [3, 8, 1], 7


@pytest.fixture
def batches(generator: ImageGenerator) -> list[Batch]:
    """Seven images in three batches."""
    return list(generator.stream(LABELS, seed=7, count=COUNT, start=40, batch_size=3))


@pytest.fixture
def images(batches: list[Batch]) -> Images:
    return np.concatenate([batch.images for batch in batches])


def read_idx(content: bytes) -> tuple[list[int], bytes]:
    """Return shape and numbers, by the format's own rule."""
    assert content[:3] == b"\0\0\x08"
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, 4).tolist()
    return shape, content[4 + 4 * dimensions :]


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize(("split", "other"), [("train", "t10k"), ("t10k", "train")])
def test_a_data_set(
    tmp_path: Path,
    batches: list[Batch],
    images: Images,
    info: ModelInfo,
    split: str,
    other: str,
    gz: bool,
) -> None:
    writers.write_idx(tmp_path, batches, info=info, count=COUNT, split=split, gz=gz)
    ending = ".gz" if gz else ""
    files = {path.name: path.read_bytes() for path in (tmp_path / "MNIST/raw").iterdir()}
    assert files.pop("classes.txt").decode().split() == list("0123456789")
    assert all(name.endswith(ending) for name in files)
    found = {
        name.removesuffix(ending): read_idx(gzip.decompress(content) if gz else content)
        for name, content in files.items()
    }
    sides = [info.height, info.width]
    assert found == {
        f"{split}-images-idx3-ubyte": ([COUNT, *sides], images.tobytes()),
        f"{split}-labels-idx1-ubyte": ([COUNT], bytes([3, 8, 1, 3, 8, 1, 3])),
        f"{other}-images-idx3-ubyte": ([0, *sides], b""),
        f"{other}-labels-idx1-ubyte": ([0], b""),
    }


def test_the_other_split_stays(tmp_path: Path, batches: list[Batch], info: ModelInfo) -> None:
    for split in ("train", "t10k", "train"):
        writers.write_idx(tmp_path, batches, info=info, count=COUNT, split=split, gz=False)
    for split in ("train", "t10k"):
        content = (tmp_path / f"MNIST/raw/{split}-labels-idx1-ubyte").read_bytes()
        assert read_idx(content)[0] == [COUNT]


def test_the_same_images_make_the_same_gz(
    tmp_path: Path, batches: list[Batch], info: ModelInfo
) -> None:
    for folder in ("one", "two"):
        writers.write_idx(
            tmp_path / folder, batches, info=info, count=COUNT, split="train", gz=True
        )
    name = "MNIST/raw/train-images-idx3-ubyte.gz"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_format_that_cannot_hold_so_many(tmp_path: Path, info: ModelInfo) -> None:
    with pytest.raises(InputError, match="ask for fewer, or for --format npy"):
        writers.write_idx(tmp_path, [], info=info, count=2**32, split="train", gz=False)
    assert not list(tmp_path.iterdir())


def test_a_data_set_that_fails_half_way_leaves_none(
    tmp_path: Path, batches: list[Batch], info: ModelInfo
) -> None:
    def broken() -> Iterator[Batch]:
        yield batches[0]
        raise InputError("the model went away")

    with pytest.raises(InputError):
        writers.write_idx(tmp_path, broken(), info=info, count=COUNT, split="train", gz=False)
    assert not list((tmp_path / "MNIST/raw").iterdir())


def test_a_folder_of_pictures(
    tmp_path: Path, batches: list[Batch], generator: ImageGenerator, info: ModelInfo
) -> None:
    text = {"cgan:seed": "7"}
    writers.write_pngs(tmp_path / "all", batches, info=info, scale=2, text=text)
    names = ["1-000042", "1-000045", "3-000040", "3-000043", "3-000046", "8-000041", "8-000044"]
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        f"{name}.png" for name in names
    ]
    for name in names:
        label, index = map(int, name.split("-"))
        with Image.open(tmp_path / "all" / f"{name}.png") as picture:
            assert picture.info == {
                "cgan:seed": "7",
                "cgan:label": str(label),
                "cgan:index": str(index),
            }
            small = np.asarray(picture)[::2, ::2]
        wanted = generator.generate(label, seed=7, start=index)[0, 0]
        assert np.abs(small.astype(int) - wanted).max() <= 1


def test_a_folder_that_is_a_file(tmp_path: Path, batches: list[Batch], info: ModelInfo) -> None:
    place = tmp_path / "taken"
    place.write_text("mine")
    with pytest.raises(OutputError, match=r"cannot make .*taken: .*; choose another place"):
        writers.write_pngs(place, batches, info=info, scale=1, text={})
    assert place.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "slug"),
    [("9", "9"), ("Ankle boot", "Ankle-boot"), ("T-shirt/top", "T-shirt-top"), ("+", "class"),
     ("お茶", "お茶"), ("../..", "class")],
)  # fmt: skip
def test_a_class_as_a_file_name(name: str, slug: str) -> None:
    assert writers.file_name(name) == slug


def test_a_picture_beyond_the_format(tmp_path: Path, info: ModelInfo) -> None:
    with (tmp_path / "x.png").open("wb") as file, pytest.raises(InputError, match="--format npy"):
        writers.write_png(file, [], info=info, count=2**31, columns=1, scale=1, text={})
