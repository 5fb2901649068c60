"""The writers of images: arrays, pictures, folders and IDX files."""

import gzip
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cgan_runtime.errors import InputError, OutputError
from cgan_runtime.generator import Batch, ImageGenerator
from cgan_runtime.images import staging, writers
from cgan_runtime.model_file.contract import ModelInfo

LABELS, EACH = [3, 8, 1], 3
COUNT = EACH * len(LABELS)


@pytest.fixture
def batches(generator: ImageGenerator) -> list[Batch]:
    """Nine images in three batches."""
    return list(generator.stream(LABELS, seed=7, count=EACH, start=40, batch_size=3))


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
        f"{split}-labels-idx1-ubyte{suffix}": ([COUNT], bytes(LABELS * EACH)),
        f"{other}-images-idx3-ubyte{suffix}": ([0, *sides], b""),
        f"{other}-labels-idx1-ubyte{suffix}": ([0], b""),
    }


@pytest.mark.parametrize(("first", "second"), [("train", "t10k"), ("t10k", "train")])
def test_second_split_completes_the_dataset(
    tmp_path: Path, batches: list[Batch], info: ModelInfo, first: str, second: str
) -> None:
    assert writers.write_idx(tmp_path, batches, info, COUNT, first, gz=False) == second
    (tmp_path / "MNIST/raw/notes.txt").write_text("mine")
    before = read_files(tmp_path)
    assert writers.write_idx(tmp_path, batches[:1], info, 3, second, gz=False) is None
    files = read_files(tmp_path)
    assert read_idx(files[f"{second}-labels-idx1-ubyte"])[0] == [3]
    for name in {*before} - {f"{second}-{part}-ubyte" for part in ("images-idx3", "labels-idx1")}:
        assert files[name] == before[name]


@pytest.mark.parametrize("gz", [False, True])
def test_existing_split_is_never_replaced(
    tmp_path: Path, batches: list[Batch], info: ModelInfo, gz: bool
) -> None:
    writers.write_idx(tmp_path, batches, info, COUNT, "train", gz=gz)
    before = read_files(tmp_path)
    writers.write_idx(tmp_path, batches, info, COUNT, "train", gz=gz)  # changes nothing
    for other_gz in (False, True):
        with pytest.raises(OutputError, match="of another run; choose another folder"):
            writers.write_idx(tmp_path, batches[:1], info, 3, "train", gz=other_gz)
    with pytest.raises(OutputError, match="of another run; choose another folder"):
        writers.write_idx(tmp_path, batches, info, COUNT, "t10k", gz=not gz)
    assert read_files(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("MNIST/raw/train-images-idx3-ubyte", b"mine", "train-images-idx3-ubyte of another run"),
        ("MNIST/raw/train-labels.idx1-ubyte.gz", b"mine", "ubyte.gz of another run"),
        ("MNIST/raw/classes.txt", b"T-shirt\n", "has different class names than this"),
        ("MNIST/processed/training.pt", b"", "torchvision would read .*training.pt instead"),
    ],
)
def test_files_that_readers_would_prefer_or_mix_are_rejected(
    tmp_path: Path, batches: list[Batch], info: ModelInfo, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(OutputError, match=message):
        writers.write_idx(tmp_path, batches, info, COUNT, "train", gz=False)
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path]
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": tuple("9876543210")}, "different class names"),
        ({"image_shape": (1, 12, 5)}, "12 x 9 pixels"),
    ],
)
@pytest.mark.parametrize("classes_file", [True, False])
def test_split_of_another_model_is_rejected(
    tmp_path: Path,
    batches: list[Batch],
    info: ModelInfo,
    change: dict[str, Any],
    message: str,
    classes_file: bool,
) -> None:
    writers.write_idx(tmp_path, batches, info, COUNT, "train", gz=False)
    if not classes_file:
        (tmp_path / "MNIST/raw/classes.txt").unlink()
    before = read_files(tmp_path)
    with pytest.raises(OutputError, match=message):
        writers.write_idx(tmp_path, [], replace(info, **change), 0, "t10k", gz=False)
    assert read_files(tmp_path) == before


@pytest.mark.parametrize("moved", range(3))
def test_interrupted_second_split_is_completed_by_the_same_command(
    tmp_path: Path,
    batches: list[Batch],
    info: ModelInfo,
    monkeypatch: pytest.MonkeyPatch,
    moved: int,
) -> None:
    writers.write_idx(tmp_path, batches, info, COUNT, "train", gz=False)
    moves, replace_path = iter(range(moved)), Path.replace

    def replace_or_stop(path: Path, target: Path) -> Path:
        if path.parent.name.startswith(".cgan-run-") and path.suffix != ".part":
            try:
                next(moves)
            except StopIteration:
                raise KeyboardInterrupt from None
        return replace_path(path, target)

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "replace", replace_or_stop)
        writers.write_idx(tmp_path, batches, info, COUNT, "t10k", gz=False)
    files = read_files(tmp_path)
    assert len(files) == 5
    labels = read_idx(files["t10k-labels-idx1-ubyte"])[0]
    assert labels == [COUNT if moved == 2 else 0]  # without labels, the part does not exist
    assert writers.write_idx(tmp_path, batches, info, COUNT, "t10k", gz=False) is None
    assert read_idx(read_files(tmp_path)["t10k-labels-idx1-ubyte"])[0] == [COUNT]


def test_signal_during_publication_leaves_all_files_or_none(
    tmp_path: Path, batches: list[Batch], info: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        writers.write_idx(tmp_path / "set", batches, info, COUNT, "train", gz=False)
    assert not list(tmp_path.iterdir())


def test_two_writers_at_once_do_not_mix(
    tmp_path: Path, batches: list[Batch], info: ModelInfo
) -> None:
    """The second one writes while the first one generates."""

    def generate() -> Iterator[Batch]:
        yield batches[0]
        writers.write_idx(tmp_path, batches[:1], info, 3, "train", gz=False)
        yield from batches[1:]

    with pytest.raises(OutputError, match="of another run; choose another folder"):
        writers.write_idx(tmp_path, generate(), info, COUNT, "train", gz=False)
    files = read_files(tmp_path)
    assert read_idx(files["train-images-idx3-ubyte"])[1] == batches[0].images.tobytes()
    assert read_idx(files["train-labels-idx1-ubyte"])[1] == bytes([3, 8, 1])
    assert len(files) == 5


def test_only_leftovers_of_killed_writers_are_deleted(
    tmp_path: Path, batches: list[Batch], info: ModelInfo
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "photo.png").write_text("mine")
    (tmp_path / f".cgan-run-{0:016x}.part").mkdir()
    (tmp_path / f".cgan-run-{0:016x}.part" / "9-000000.png").write_text("left")
    kept = [".cgan-run-mine.part", f".cgan-run-{1:016x}.part", f".cgan-run-{2:016x}.part"]
    (tmp_path / kept[0]).mkdir()
    (tmp_path / kept[1]).symlink_to(tmp_path / "elsewhere")
    (tmp_path / kept[2]).write_text("a file")
    with staging.staged_folder(tmp_path / "alive", str) as alive:
        (alive / "1.png").write_text("half")
        writers.write_pngs(tmp_path / "new", batches, info, 1, {})
        assert alive.exists()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"alive", "elsewhere", "new", *kept}
    assert (tmp_path / "elsewhere" / "photo.png").exists()


def test_links_to_the_folder_are_followed_and_links_in_it_kept(
    tmp_path: Path, batches: list[Batch], info: ModelInfo
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "set").symlink_to(tmp_path / "disk")
    writers.write_idx(tmp_path / "set", batches, info, COUNT, "train", gz=False)
    raw = tmp_path / "disk" / "MNIST" / "raw"
    assert len([*raw.iterdir()]) == 5
    labels = (raw / "t10k-labels-idx1-ubyte").rename(tmp_path / "labels")
    (raw / "t10k-labels-idx1-ubyte").symlink_to(labels)
    with pytest.raises(OutputError, match="t10k-labels-idx1-ubyte of another run"):
        writers.write_idx(tmp_path / "set", batches, info, COUNT, "t10k", gz=False)
    assert read_idx(labels.read_bytes())[0] == [0]


def test_images_of_another_run_are_not_mixed_with_pngs(
    tmp_path: Path, batches: list[Batch], generator: ImageGenerator, info: ModelInfo
) -> None:
    writers.write_pngs(tmp_path, batches, info, 1, {})
    (tmp_path / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    writers.write_pngs(tmp_path, batches, info, 1, {})  # changes nothing
    other_seed = generator.stream(LABELS, seed=8, count=EACH, start=38)
    other_classes = generator.stream([5], seed=7, count=COUNT, start=48)
    for others in (other_seed, other_classes):
        with pytest.raises(OutputError, match="of another run; choose another folder"):
            writers.write_pngs(tmp_path, others, info, 1, {})
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    writers.write_pngs(tmp_path, generator.stream([3, 8], seed=7, count=1), info, 1, {})
    assert len([*tmp_path.iterdir()]) == len(before) + 2


def test_failed_run_leaves_no_pngs(tmp_path: Path, batches: list[Batch], info: ModelInfo) -> None:
    def failing() -> Iterator[Batch]:
        yield batches[0]
        raise InputError("the model went away")

    for folder in (tmp_path / "new" / "pngs", tmp_path):
        with pytest.raises(InputError):
            writers.write_pngs(folder, failing(), info, 1, {})
        assert not list(tmp_path.iterdir())


def test_more_images_than_idx_supports_are_rejected(tmp_path: Path, info: ModelInfo) -> None:
    with pytest.raises(InputError, match="; generate fewer, or use --format pngs, npy or png"):
        writers.write_idx(tmp_path, [], info, 2**32, "train", gz=False)
    assert not list(tmp_path.iterdir())


def test_failed_dataset_leaves_no_files(
    tmp_path: Path, batches: list[Batch], info: ModelInfo
) -> None:
    def failing() -> Iterator[Batch]:
        yield batches[0]
        raise InputError("the model went away")

    with pytest.raises(InputError):
        writers.write_idx(tmp_path / "set", failing(), info, COUNT, "train", gz=False)
    assert not list(tmp_path.iterdir())


def test_each_png_is_named_after_its_class_and_index(
    tmp_path: Path, batches: list[Batch], generator: ImageGenerator, info: ModelInfo
) -> None:
    writers.write_pngs(tmp_path / "all", batches, info, 2, {"cgan:seed": "7"})
    names = sorted(f"{label}-{40 + index:06}" for index, label in enumerate(LABELS * EACH))
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
        writers.png_chunks([], info, count=2**31, columns=1, scale=1, metadata={})
