import gzip
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from cgan_training.data import Dataset, is_dataset_folder, load_dataset
from cgan_training.errors import DatasetError

NOWHERE = Path("nowhere")


def idx(shape: Sequence[int], content: bytes) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + content


def write_part(folder: Path, part: str, labels: Sequence[int], height: int, width: int) -> None:
    shape = (len(labels), height, width)
    pixels = bytes(number % 251 for number in range(len(labels) * height * width))
    (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(shape, pixels))
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(shape[:1], bytes(labels)))


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """A folder of three classes, images of 5 x 7, no names, no test part."""
    folder = tmp_path / "shapes"
    folder.mkdir()
    write_part(folder, "train", [0, 2, 1, 2], 5, 7)
    return folder


def load(folder: Path, *, train: bool = True) -> Dataset:
    data, settled = load_dataset(str(folder), NOWHERE, train=train)
    assert settled is None
    return data


def error_of(folder: Path, *, train: bool = True) -> str:
    """Return the one line that the folder is refused with."""
    with pytest.raises(DatasetError) as caught:
        load(folder, train=train)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(folder), "FOLDER")


def test_a_folder_without_names(shapes: Path) -> None:
    data = load(shapes)
    assert data.name == "shapes"
    assert data.source == f"IDX files in {shapes}"
    assert data.images.shape == (4, 1, 5, 7)
    assert data.images.dtype == torch.uint8
    assert data.images.flatten()[:3].tolist() == [0, 1, 2]
    assert data.labels.tolist() == [0, 2, 1, 2]
    assert data.labels.dtype == torch.int64
    assert data.class_names == ("0", "1", "2")
    assert (data.height, data.width) == (5, 7)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("bar\nT-shirt/top\nAnkle boot", ("bar", "T-shirt/top", "Ankle boot")),
        ("bar\nring\nstar\ncross\n", ("bar", "ring", "star", "cross")),
        ("\ufeffäöü\r\n お \r\nstar\r\n", ("äöü", "お", "star")),
        ("a\nA\nb\n", ("a", "A", "b")),
    ],
    ids=["no last newline", "more names than labels", "Windows", "names that differ in case"],
)
def test_names_of_the_classes(shapes: Path, text: str, names: tuple[str, ...]) -> None:
    (shapes / "classes.txt").write_bytes(text.encode())
    assert load(shapes).class_names == names


def test_a_test_part_has_the_classes_of_training(shapes: Path) -> None:
    write_part(shapes, "t10k", [1, 0], 5, 7)
    held_out = load(shapes, train=False)
    assert held_out.labels.tolist() == [1, 0]
    assert held_out.class_names == ("0", "1", "2")
    assert len(load(shapes).labels) == 4


def test_gzipped_files(shapes: Path) -> None:
    for path in list(shapes.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    data = load(shapes)
    assert data.labels.tolist() == [0, 2, 1, 2]
    (shapes / "train-labels-idx1-ubyte.gz").write_bytes(b"")
    assert "train-labels-idx1-ubyte.gz" in error_of(shapes)


def test_a_folder_by_its_name_alone(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shapes.parent)
    assert load_dataset("shapes", NOWHERE)[0].name == "shapes"
    monkeypatch.chdir(shapes)
    assert load_dataset("./", NOWHERE)[0].name == "shapes"


def test_which_names_mean_a_folder(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shapes)
    (shapes / "mnist").mkdir()
    for name in ("mnist", "", "cifar", "train-images-idx3-ubyte"):
        assert not is_dataset_folder(name)
    for name in ("./mnist", "no/such", ".", str(shapes)):
        assert is_dataset_folder(name)


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("./none", 1, "error: there is no folder none; check the path given as --dataset"),
        ("none/", 1, "error: there is no folder none; check the path"),
        (".", 1, "error: . lacks train-images-idx3-ubyte (or train-images-idx3-ubyte.gz); put it"),
        (
            "",
            2,
            "error: Invalid value for '--dataset': '' is not one of auto, mnist, fashion-mnist",
        ),
        ("none", 2, "error: Invalid value for '--dataset': 'none' is not one of auto, mnist, "),
    ],
)
def test_a_folder_that_the_command_cannot_take(
    call: Callable[..., "subprocess.CompletedProcess[bytes]"],
    tmp_path: Path,
    name: str,
    code: int,
    message: str,
) -> None:
    done = call("cgan-train", "--dataset", name)
    assert done.returncode == code
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("train", [True, False])
def test_no_folder(tmp_path: Path, train: bool) -> None:
    error = error_of(tmp_path / "none", train=train)
    assert error == "there is no folder FOLDER; check the path given as --dataset"


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
def test_a_missing_file(shapes: Path, name: str) -> None:
    (shapes / name).unlink()
    assert error_of(shapes) == f"FOLDER lacks {name} (or {name}.gz); put it there"


def test_no_test_part(shapes: Path) -> None:
    assert error_of(shapes, train=False) == (
        "FOLDER holds no test part; add t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte"
    )


def test_half_a_test_part(shapes: Path) -> None:
    write_part(shapes, "t10k", [1, 0], 5, 7)
    (shapes / "t10k-labels-idx1-ubyte").unlink()
    assert error_of(shapes, train=False).startswith("FOLDER lacks t10k-labels-idx1-ubyte (or")


def test_counts_that_disagree(shapes: Path) -> None:
    (shapes / "train-labels-idx1-ubyte").write_bytes(idx((3,), bytes(3)))
    assert error_of(shapes) == (
        "FOLDER/train-images-idx3-ubyte holds 4 images but FOLDER/train-labels-idx1-ubyte "
        "3 labels; give each image one label"
    )


def test_labels_beyond_the_classes(shapes: Path) -> None:
    (shapes / "classes.txt").write_text("bar\nring\n")
    assert error_of(shapes) == (
        "FOLDER/train-labels-idx1-ubyte holds the label 2 where 2 classes allow 0 to 1; "
        "correct it, or list more in classes.txt"
    )


def test_labels_of_the_test_part_beyond_those_of_training(shapes: Path) -> None:
    write_part(shapes, "t10k", [1, 3], 5, 7)
    error = error_of(shapes, train=False)
    assert error.startswith("FOLDER/t10k-labels-idx1-ubyte holds the label 3 where 3 classes")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 of FOLDER/classes.txt is empty; write a class name a line"),
        (b"bar\n\nstar\n", "line 2 of FOLDER/classes.txt is empty; "),
        (b"bar\nring\nstar\n \n", "line 4 of FOLDER/classes.txt is empty; "),
        (b"bar\nri\x1bng\nstar\n", "line 2 of FOLDER/classes.txt is unprintable; "),
        (b"bar\nring\nbar \n", "line 3 of FOLDER/classes.txt names the class 'bar' again; "),
        (b"b\xffr\nring\n", "FOLDER/classes.txt is not UTF-8 (invalid start byte); save it as"),
    ],
    ids=["nothing", "empty", "blank", "unprintable", "duplicate", "latin-1"],
)
def test_bad_names(shapes: Path, content: bytes, message: str) -> None:
    (shapes / "classes.txt").write_bytes(content)
    assert error_of(shapes).startswith(message)


def test_names_that_cannot_be_read(shapes: Path) -> None:
    (shapes / "classes.txt").mkdir()
    assert error_of(shapes).startswith("cannot read FOLDER/classes.txt: Is a directory; ")
