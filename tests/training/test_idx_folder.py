"""Folders of IDX files."""

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from idx_files import idx

from cgan_training.data import Dataset, is_dataset_path, load_dataset, load_test_part
from cgan_training.errors import DatasetError

NOWHERE = Path("nowhere")


def write_part(folder: Path, part: str, labels: Sequence[int], height: int, width: int) -> None:
    shape = (len(labels), height, width)
    pixels = bytes(number % 251 for number in range(len(labels) * height * width))
    (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(shape, pixels))
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(shape[:1], bytes(labels)))


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """A folder with images of 9 x 11 pixels in three classes, without names or test part."""
    folder = tmp_path / "shapes"
    folder.mkdir()
    write_part(folder, "train", [0, 2, 1, 2], 9, 11)
    return folder


def load(folder: Path, *, train: bool = True) -> Dataset:
    data, reason = load_dataset(str(folder), NOWHERE)
    assert reason is None
    return data if train else load_test_part(data, str(folder), NOWHERE)


def error_of(folder: Path, *, train: bool = True) -> str:
    """Return the message, with FOLDER in place of the path."""
    with pytest.raises(DatasetError) as caught:
        load(folder, train=train)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(folder), "FOLDER")


def test_a_folder_without_class_names_is_loaded(shapes: Path) -> None:
    data = load(shapes)
    assert data.name == "shapes"
    assert data.source == f"IDX files in {shapes}"
    assert data.images.shape == (4, 1, 9, 11)
    assert data.images.dtype == torch.uint8
    assert data.images.flatten()[:3].tolist() == [0, 1, 2]
    assert data.labels.tolist() == [0, 2, 1, 2]
    assert data.labels.dtype == torch.int64
    assert data.class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("bar\nT-shirt/top\nAnkle boot", ("bar", "T-shirt/top", "Ankle boot")),
        ("cafe\u0301\nب\u200cب\n👩\u200d🚀\n", ("caf\u00e9", "ب\u200cب", "👩\u200d🚀")),
        ("\ufeffäöü\r\n お \r\nstar\r\n", ("äöü", "お", "star")),
        ("a\nA\nb\n", ("a", "A", "b")),
    ],
    ids=["no last newline", "NFD and joiners", "Windows", "names that differ in case"],
)
def test_class_names_come_from_classes_txt(shapes: Path, text: str, names: tuple[str, ...]) -> None:
    (shapes / "classes.txt").write_bytes(text.encode())
    assert load(shapes).class_names == names


def test_the_test_part_has_the_classes_of_the_training_part(shapes: Path) -> None:
    write_part(shapes, "t10k", [1, 0, 2], 9, 11)
    test = load(shapes, train=False)
    assert test.labels.tolist() == [1, 0, 2]
    assert test.class_names == ("0", "1", "2")
    assert len(load(shapes).labels) == 4


def test_gzipped_files_are_loaded(shapes: Path) -> None:
    for path in list(shapes.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert load(shapes).labels.tolist() == [0, 2, 1, 2]
    (shapes / "train-labels-idx1-ubyte.gz").write_bytes(b"")
    assert "train-labels-idx1-ubyte.gz has 0 bytes" in error_of(shapes)


def test_paths_and_existing_directories_mean_a_folder(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shapes)
    (shapes / "mnist").mkdir()
    for name in ("mnist", "", "cifar", "train-images-idx3-ubyte"):
        assert not is_dataset_path(name)
    for name in ("./mnist", "no/such", ".", str(shapes)):
        assert is_dataset_path(name)
    assert load_dataset("./", NOWHERE)[0].name == "shapes"
    monkeypatch.chdir(shapes.parent)
    assert load_dataset("shapes", NOWHERE)[0].name == "shapes"


@pytest.mark.parametrize("train", [True, False])
def test_a_missing_folder_is_named(tmp_path: Path, train: bool) -> None:
    error = error_of(tmp_path / "none", train=train)
    assert error == "there is no folder FOLDER; check the path given as --dataset"


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
def test_a_missing_file_is_named(shapes: Path, name: str) -> None:
    (shapes / name).unlink()
    assert error_of(shapes) == f"FOLDER lacks {name} (or {name}.gz); add the file"


def test_a_missing_test_part_is_reported(shapes: Path) -> None:
    assert error_of(shapes, train=False) == (
        "FOLDER has no test part; add t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte"
    )
    write_part(shapes, "t10k", [1, 0], 9, 11)
    (shapes / "t10k-labels-idx1-ubyte").unlink()
    assert error_of(shapes, train=False).startswith("FOLDER lacks t10k-labels-idx1-ubyte (or")


@pytest.mark.parametrize(
    ("labels", "size", "message"),
    [
        (
            [0, 1, 2],
            (11, 9),
            "FOLDER has training images of 9 x 11 pixels, but test images of 11 x 9; ",
        ),
        ([0], (9, 11), "FOLDER has one test image; an evaluation needs at least 2, add some"),
        ([0, 2], (9, 11), "class '1' has no test images in FOLDER; add some"),
        ([], (9, 11), "FOLDER has no test images (t10k-images-idx3-ubyte is empty); add some, "),
    ],
    ids=["other size", "one image", "class without images", "empty"],
)
def test_a_test_part_that_does_not_fit_is_rejected(
    shapes: Path, labels: list[int], size: tuple[int, int], message: str
) -> None:
    write_part(shapes, "t10k", labels, *size)
    assert error_of(shapes, train=False).startswith(message)
    load(shapes)


@pytest.mark.parametrize(
    ("labels", "names", "missing"), [([0, 1, 2], "a\nb\nc\nd\n", "d"), ([0, 2], None, "1")]
)
def test_a_class_without_training_images_is_rejected(
    shapes: Path, labels: list[int], names: str | None, missing: str
) -> None:
    write_part(shapes, "train", labels, 9, 11)
    if names:
        (shapes / "classes.txt").write_text(names)
    assert error_of(shapes) == (
        f"class {missing!r} has no training images in FOLDER; add some, or remove it from "
        "classes.txt and renumber the labels"
    )


def test_a_damaged_test_part_is_found_before_the_training(shapes: Path) -> None:
    write_part(shapes, "t10k", [0, 1, 2], 9, 11)
    load(shapes)
    path = shapes / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    assert error_of(shapes).startswith("FOLDER/t10k-images-idx3-ubyte has 312 bytes, but its head")


def test_images_and_labels_are_counted_before_they_are_read(shapes: Path) -> None:
    (shapes / "train-labels-idx1-ubyte").write_bytes(idx((2**31,), b""))
    assert error_of(shapes) == (
        "FOLDER/train-labels-idx1-ubyte holds 2,147,483,648 numbers, but there are 4 images; copy "
        "it again, or provide one label per image"
    )


def test_a_folder_with_mnist_raw_inside_is_loaded(shapes: Path) -> None:
    expected = load(shapes).sha256
    raw = shapes / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in shapes.glob("train-*"):
        path.rename(raw / path.name.replace("-idx", ".idx"))
    assert (load(shapes).sha256, load(shapes).name) == (expected, "shapes")
    (shapes / "classes.txt").write_text("x\ny\nz\n")
    assert load(shapes).class_names == ("x", "y", "z")
    (raw / "classes.txt").write_text("a\nb\nc\n")
    assert load(shapes).class_names == ("a", "b", "c")
    write_part(shapes, "t10k", [0, 1, 2], 9, 11)
    assert error_of(shapes) == (
        "FOLDER holds IDX files, and so does FOLDER/MNIST/raw; move one of the two sets away"
    )


@pytest.mark.parametrize("twin", ["train-labels.idx1-ubyte", "train-labels-idx1-ubyte.gz"])
def test_outdated_twins_are_rejected(shapes: Path, twin: str) -> None:
    old = shapes / "train-labels-idx1-ubyte"
    content = idx((4,), bytes([1, 2, 0, 0]))
    (shapes / twin).write_bytes(gzip.compress(content) if twin.endswith(".gz") else content)
    assert error_of(shapes) == (
        f"FOLDER/{old.name} and FOLDER/{twin} should be equal, but differ; delete the "
        "outdated file, and the images or labels file that belongs to it"
    )


def test_labels_beyond_the_classes_are_rejected(shapes: Path) -> None:
    write_part(shapes, "t10k", [1, 3], 9, 11)
    error = error_of(shapes, train=False)
    assert error.startswith("FOLDER/t10k-labels-idx1-ubyte holds the label 3, but 3 classes")
    (shapes / "classes.txt").write_text("bar\nring\n")
    assert error_of(shapes) == (
        "FOLDER/train-labels-idx1-ubyte holds the label 2, but 2 classes allow 0 to 1; "
        "correct the label, or add names to classes.txt"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 of FOLDER/classes.txt is empty; write one class name per line"),
        (b"bar\n\nstar\n", "line 2 of FOLDER/classes.txt is empty; "),
        (b"bar\nring\nstar\n \n", "line 4 of FOLDER/classes.txt is empty; "),
        (b"bar\nri\x1bng\nstar\n", "line 2 of FOLDER/classes.txt has unprintable characters; "),
        (b"bar\nring\nbar \n", "line 3 of FOLDER/classes.txt repeats the class name 'bar'; "),
        (b"bar\n\xe2\x80\x8d\nstar\n", "line 2 of FOLDER/classes.txt is empty; "),
        (b"bar\nri\xe2\x80\xaeng\nstar\n", "line 2 of FOLDER/classes.txt has unprintable "),
        (
            "é\nring\ne\u0301\n".encode(),
            "line 3 of FOLDER/classes.txt repeats the class name 'é'; ",
        ),
        (b"x" * 201, "line 1 of FOLDER/classes.txt has 201 characters, more than 200; "),
        (
            "".join(f"{number}\n" for number in range(10_001)).encode(),
            "FOLDER/classes.txt has 10,001 lines; write at most 10,000, one name per line",
        ),
        (
            "".join(f"{number}\n" for number in range(1_200_000)).encode(),
            "cannot read FOLDER/classes.txt: it has more than 8,388,608 bytes; write one ",
        ),
        (b"b\xffr\nring\n", "FOLDER/classes.txt is not UTF-8 (invalid start byte); save it as"),
    ],
    ids=[
        "nothing",
        "empty",
        "blank",
        "unprintable",
        "duplicate",
        "only a joiner",
        "override",
        "NFC and NFD",
        "long",
        "too many",
        "many bytes",
        "latin-1",
    ],
)
def test_invalid_class_names_are_rejected(shapes: Path, content: bytes, message: str) -> None:
    (shapes / "classes.txt").write_bytes(content)
    assert error_of(shapes).startswith(message)


def test_an_unreadable_classes_txt_is_named(shapes: Path) -> None:
    (shapes / "classes.txt").mkdir()
    assert error_of(shapes).startswith("cannot read FOLDER/classes.txt: Is a directory; ")


@pytest.mark.parametrize(
    ("name", "kind", "dtype", "values", "shape"),
    [
        ("train-images-idx3-float", 13, ">f4", [0, 0.5, 1], (4, 10, 11)),
        ("train-images.idx3-double", 14, ">f8", [-1, 0, 1], (4, 10, 11, 3)),
        ("train-images-idx3-short", 11, ">i2", [0, 128, 255], (4, 3, 10, 11)),
        ("train-images-idx3-int", 12, ">i4", [0, 128, 255], (4, 10, 11, 1)),
        ("train-images-idx3-ubyte", 13, ">f4", [0, 128.2, 255], (4, 10, 11)),
    ],
)
def test_every_type_and_color_are_converted(
    shapes: Path, name: str, kind: int, dtype: str, values: list[float], shape: tuple[int, ...]
) -> None:
    (shapes / "train-images-idx3-ubyte").unlink()
    numbers = np.resize(np.array(values), shape).astype(dtype)
    name = name.replace("idx3", f"idx{len(shape)}")
    (shapes / name).write_bytes(idx(shape, numbers.tobytes(), kind))
    data = load(shapes)
    assert data.image_shape == (3 if 3 in shape else 1, 10, 11)
    expected = np.resize(np.array([0, 128, 255], np.uint8), shape)
    if shape[-1] in (1, 3):
        expected = np.moveaxis(expected, 3, 1)
    assert torch.equal(data.images, torch.from_numpy(expected.reshape(data.images.shape).copy()))


def test_labels_of_other_types_are_read(shapes: Path) -> None:
    (shapes / "train-labels-idx1-ubyte").write_bytes(
        idx((4, 1), struct.pack(">4i", 0, 2, 1, 2), 12)
    )
    assert load(shapes).labels.tolist() == [0, 2, 1, 2]
    (shapes / "train-labels-idx1-ubyte").write_bytes(
        idx((4,), struct.pack(">4f", 0, 2.5, 1, 2), 13)
    )
    assert "holds labels that are not whole numbers" in error_of(shapes)
    (shapes / "train-labels-idx1-ubyte").write_bytes(idx((4,), bytes([0, 255, 1, 2]), 9))
    assert "holds the label -1, but 3 classes allow 0 to 2" in error_of(shapes)
