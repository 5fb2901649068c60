import hashlib
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from http.client import IncompleteRead
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch

from cgan_training.data import load_dataset, torchvision_sets
from cgan_training.data.torchvision_ops import import_torchvision_datasets
from cgan_training.data.torchvision_sets import SETS, UnreachableError
from cgan_training.errors import DatasetError

COUNTS = {"train": 40, "test": 20}
FOLDERS = {
    "mnist": "MNIST",
    "fashion-mnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "qmnist": "QMNIST",
}
FILES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]
QMNIST_FILES = [
    "qmnist-train-images-idx3-ubyte",
    "qmnist-train-labels-idx2-int",
    "qmnist-test-images-idx3-ubyte",
    "qmnist-test-labels-idx2-int",
]
EVERY_FILE = [
    *((name, file) for name in FOLDERS if name != "qmnist" for file in FILES),
    *(("qmnist", file) for file in QMNIST_FILES),
]


def idx(shape: Sequence[int], content: bytes, kind: int = 8) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape) + content


def content_of(file: str) -> bytes:
    """Make a file of the right layout with few images."""
    count = COUNTS["train" if "train" in file else "test"]
    labels = [number % 10 for number in range(count)]
    if "images" in file:
        pixels = bytes(number % 251 for number in range(count * 28 * 28))
        return idx((count, 28, 28), pixels)
    if file.endswith("int"):  # class, series, writer, ...: only the first is the digit
        fields = [number for label in labels for number in (label, 4, 2**20, -1, 77, 6, 0, 0)]
        return idx((count, 8), struct.pack(f">{len(fields)}i", *fields), kind=12)
    return idx((count,), bytes(labels))


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small data sets in the files of the four, known to the module by counts and hashes."""
    for name, file in EVERY_FILE:
        path = tmp_path / FOLDERS[name] / "raw" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content_of(file))
    for name, known in SETS.items():
        small = replace(
            known,
            train=replace(known.train, count=COUNTS["train"]),
            test=replace(known.test, count=COUNTS["test"]),
            md5={file: hashlib.md5(content_of(file)).hexdigest() for file in known.md5},
        )
        monkeypatch.setitem(SETS, name, small)
    return tmp_path


@pytest.fixture
def out_of_reach(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Let torchvision's downloads end in an error."""

    def fail_with(error: Exception) -> None:
        def refuse(*_: object, download: bool, **__: object) -> None:
            assert download
            raise error

        sets = SimpleNamespace(**dict.fromkeys(FOLDERS.values(), refuse))
        monkeypatch.setattr(torchvision_sets, "import_torchvision_datasets", lambda: sets)

    return fail_with


NO_NETWORK = RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nTried 2 mirrors")


@pytest.mark.parametrize(("train", "count"), [(True, 40), (False, 20)])
@pytest.mark.parametrize("name", list(FOLDERS))
def test_files_on_disk_are_read(data_dir: Path, name: str, train: bool, count: int) -> None:
    data, settled = load_dataset(name, data_dir, train=train)
    assert settled is None
    assert data.name == name
    assert data.source == f"{SETS[name].title} in {data_dir / FOLDERS[name] / 'raw'}"
    assert data.images.shape == (count, 1, 28, 28)
    assert data.images.dtype == torch.uint8
    assert data.images.flatten()[:3].tolist() == [0, 1, 2]
    assert data.labels.tolist() == [n % 10 for n in range(count)]
    assert data.labels.dtype == torch.int64
    assert data.classes == 10


@pytest.mark.parametrize("name", list(FOLDERS))
def test_torchvision_reads_the_same(data_dir: Path, name: str) -> None:
    datasets = import_torchvision_datasets()
    for train in (True, False):
        data, _ = load_dataset(name, data_dir, train=train)
        theirs = getattr(datasets, FOLDERS[name])(str(data_dir), train=train)
        assert torch.equal(data.images[:, 0], theirs.data)
        assert data.labels.tolist() == [theirs[number][1] for number in range(len(theirs))]


def test_names_of_the_classes(data_dir: Path) -> None:
    names = {name: load_dataset(name, data_dir)[0].class_names for name in FOLDERS}
    assert names["mnist"] == names["qmnist"] == tuple("0123456789")
    assert names["fashion-mnist"][0] == "T-shirt/top"
    assert names["fashion-mnist"][9] == "Ankle boot"
    assert names["kmnist"] == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def test_a_part_needs_its_own_files_only(data_dir: Path) -> None:
    for name, file in EVERY_FILE:
        if "train" not in file:
            (data_dir / FOLDERS[name] / "raw" / file).unlink()
    for name in FOLDERS:
        assert len(load_dataset(name, data_dir)[0].labels) == 40


@pytest.mark.parametrize(("name", "file"), EVERY_FILE)
def test_a_truncated_file_is_named(data_dir: Path, name: str, file: str) -> None:
    path = data_dir / FOLDERS[name] / "raw" / file
    path.write_bytes(path.read_bytes()[:-1])
    message = f"{file} has .* bytes where its header promises .*; delete it and it is downloaded"
    for dataset in (name, "auto") if name == "mnist" else (name,):
        with pytest.raises(DatasetError, match=message) as caught:
            load_dataset(dataset, data_dir, train="train" in file)
        assert not isinstance(caught.value, UnreachableError)


@pytest.mark.parametrize(("name", "file"), EVERY_FILE)
def test_a_file_of_another_size_is_named(data_dir: Path, name: str, file: str) -> None:
    path = data_dir / FOLDERS[name] / "raw" / file
    shape = list(struct.unpack_from(f">{path.read_bytes()[3]}I", path.read_bytes(), 4))
    kind = path.read_bytes()[2]
    shape[0] = 7
    size = 4 if kind == 12 else 1
    for each in shape:
        size *= each
    path.write_bytes(idx(shape, bytes(size), kind))
    message = f"{file} holds 7.* numbers where {SETS[name].title} has [24]0.*; delete it and"
    with pytest.raises(DatasetError, match=message):
        load_dataset(name, data_dir, train="train" in file)


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_other_content_is_named(data_dir: Path, file: str) -> None:
    path = data_dir / "MNIST" / "raw" / file
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(DatasetError, match=f"{file} is not MNIST's file .*; delete it and it is"):
        load_dataset("mnist", data_dir, train="train" in file)


@pytest.mark.parametrize("label", [10, 255])
def test_a_label_that_is_no_class(data_dir: Path, label: int) -> None:
    path = data_dir / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + bytes([label]))
    message = f"train-labels-idx1-ubyte holds the label {label} where 10 classes .*; delete it"
    with pytest.raises(DatasetError, match=message):
        load_dataset("fashion-mnist", data_dir)


def test_a_negative_label(data_dir: Path) -> None:
    path = data_dir / "QMNIST" / "raw" / "qmnist-train-labels-idx2-int"
    path.write_bytes(path.read_bytes()[:-32] + struct.pack(">8i", -3, *range(7)))
    with pytest.raises(DatasetError, match="qmnist-train-labels-idx2-int holds the label -3"):
        load_dataset("qmnist", data_dir)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", list(FOLDERS))
def test_a_missing_part_is_downloaded(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, train: bool
) -> None:
    raw = data_dir / FOLDERS[name] / "raw"
    part = SETS[name].train if train else SETS[name].test
    labels = (raw / part.labels).read_bytes()
    (raw / part.labels).unlink()
    datasets = import_torchvision_datasets()

    def download(self: object) -> None:
        (raw / part.labels).write_bytes(labels)

    monkeypatch.setattr(getattr(datasets, FOLDERS[name]), "download", download)
    assert len(load_dataset(name, data_dir, train=train)[0].labels) == part.count


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NO_NETWORK, r"Error downloading train-images-idx3-ubyte\.gz"),
        (URLError("no route"), "<urlopen error no route>"),
        (TimeoutError(), "TimeoutError"),
        (IncompleteRead(b"", 9), r"IncompleteRead\(0 bytes read, 9 more expected\)"),
    ],
    ids=["mirrors", "no route", "timeout", "cut off"],
)
@pytest.mark.parametrize("name", list(FOLDERS))
def test_out_of_reach_is_said(
    tmp_path: Path,
    out_of_reach: Callable[[Exception], None],
    name: str,
    error: Exception,
    reason: str,
) -> None:
    out_of_reach(error)
    with pytest.raises(
        UnreachableError,
        match=rf"^{SETS[name].title} is not in .*/{FOLDERS[name]}/raw and cannot be downloaded "
        rf"\({reason}\); put {SETS[name].train.images} and {SETS[name].train.labels} there, or "
        "give their torchvision root as --data-dir$",
    ):
        load_dataset(name, tmp_path)


def test_auto_settles_for_optdigits_and_says_why(
    tmp_path: Path, out_of_reach: Callable[[Exception], None]
) -> None:
    out_of_reach(NO_NETWORK)
    data, reason = load_dataset("auto", tmp_path)
    assert data.name == "optdigits"
    assert reason is not None
    assert "cannot be downloaded" in reason


def test_auto_takes_mnist_where_it_is(data_dir: Path) -> None:
    data, reason = load_dataset("auto", data_dir)
    assert (data.name, reason) == ("mnist", None)


def test_an_unknown_name_lists_the_data_sets(tmp_path: Path) -> None:
    message = "no data set 'cifar'; choose one of auto, mnist, fashion-mnist, kmnist, qmnist, opt"
    with pytest.raises(DatasetError, match=message):
        load_dataset("cifar", tmp_path)


if "CGAN_DATA_DIR" in os.environ:  # the real files, where the machine has them

    def test_real_mnist() -> None:
        data, _ = load_dataset("mnist", Path(os.environ["CGAN_DATA_DIR"]))
        assert data.images.shape == (60_000, 1, 28, 28)
        assert data.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
        assert data.images.float().mean() == pytest.approx(33.318, abs=0.001)
