"""MNIST and datasets in its formats."""

import gzip
import hashlib
import math
import os
import struct
from dataclasses import replace
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from idx_files import idx

from cgan_training.data import load_dataset
from cgan_training.data.sources import download
from cgan_training.data.sources.download import DownloadError, import_torchvision_datasets
from cgan_training.data.sources.torchvision_sets import SETS
from cgan_training.errors import DatasetError

COUNTS = {"train": 40, "test": 20}
FILES = [
    (name, file)
    for name, dataset in SETS.items()
    for part in (dataset.train, dataset.test)
    for file in (part.images, part.labels)
]
DIFFERENT_FILES = [
    each for each in FILES if each[0] in ("mnist", "qmnist")
]  # the other datasets use MNIST's formats


def content_of(file: str) -> bytes:
    """Return a file in the right format with few images."""
    count = COUNTS["train" if "train" in file else "test"]
    first = int("letters" in file)  # EMNIST's letters are numbered from 1
    labels = [first + number % 10 for number in range(count)]
    if "images" in file:
        return idx((count, 28, 28), bytes(number % 251 for number in range(count * 28 * 28)))
    if file.endswith("int"):  # class, series, writer, ...: only the first field is the digit
        fields = [number for label in labels for number in (label, 4, 2**20, -1, 77, 6, 0, 0)]
        return idx((count, 8), struct.pack(f">{len(fields)}i", *fields), kind=12)
    return idx((count,), bytes(labels))


def path_of(data_dir: Path, name: str, file: str) -> Path:
    return data_dir / SETS[name].class_name / "raw" / file


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small versions of the datasets, whose counts and hashes the module accepts."""
    for name, file in FILES:
        path = path_of(tmp_path, name, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content_of(file))
    for name, dataset in SETS.items():
        small = replace(
            dataset,
            train=replace(dataset.train, count=COUNTS["train"]),
            test=replace(dataset.test, count=COUNTS["test"]),
            md5={file: hashlib.md5(content_of(file)).hexdigest() for file in dataset.md5},
        )
        monkeypatch.setitem(SETS, name, small)
    return tmp_path


def fail_downloads(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, download: bool, **__: object) -> None:
        assert download
        raise error

    monkeypatch.setattr(download, "torchvision_class", lambda _: fail)


NO_NETWORK = RuntimeError(
    "Error downloading train-images-idx3-ubyte.gz:\n"
    "Tried https://one/, got:\n<urlopen error no route to host>\n"
    "Tried https://two/, got:\ntimed out\n"
)


@pytest.mark.parametrize(("train", "count"), [(True, 40), (False, 20)])
@pytest.mark.parametrize("name", list(SETS))
def test_files_on_disk_are_read_as_torchvision_reads_them(
    data_dir: Path, name: str, train: bool, count: int
) -> None:
    data, reason = load_dataset(name, data_dir, train=train)
    assert reason is None
    assert data.name == name
    folder = SETS[name].class_name
    dataset = SETS[name]
    assert data.source == f"{dataset.title} in {data_dir / folder / 'raw'}"
    assert data.images.shape == (count, 1, 28, 28)
    assert data.labels.tolist() == [n % 10 for n in range(count)]
    assert data.labels.dtype == torch.int64
    torchvision_class = getattr(import_torchvision_datasets(), folder)
    reference = torchvision_class(str(data_dir), train=train, **dataset.arguments)
    expected = reference.data.transpose(1, 2) if dataset.is_transposed else reference.data
    assert torch.equal(data.images[:, 0], expected)
    for number, label in enumerate(data.labels.tolist()):
        assert reference[number][1] == label + dataset.first_label
        if name.startswith("emnist"):
            assert reference.classes[reference[number][1]] == data.class_names[label]


def test_each_dataset_has_its_class_names(data_dir: Path) -> None:
    names = {name: load_dataset(name, data_dir)[0].class_names for name in SETS}
    assert len(names["emnist-balanced"]) == len(names["emnist-bymerge"]) == 47
    assert len(names["emnist-byclass"]) == 62
    assert names["emnist-letters"] == tuple("abcdefghijklmnopqrstuvwxyz")
    assert names["emnist-balanced"][36:] == tuple("abdefghnqrt")
    assert names["mnist"] == names["qmnist"] == tuple("0123456789")
    assert names["fashion-mnist"][0] == "T-shirt/top"
    assert names["fashion-mnist"][9] == "Ankle boot"
    assert names["kmnist"] == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def test_the_training_part_does_not_need_the_test_files(data_dir: Path) -> None:
    for name, file in FILES:
        if "train" not in file:
            (path_of(data_dir, name, file)).unlink(missing_ok=True)
    for name in SETS:
        assert len(load_dataset(name, data_dir)[0].labels) == 40


@pytest.mark.parametrize(("name", "file"), DIFFERENT_FILES)
def test_a_file_of_the_wrong_size_is_named(data_dir: Path, name: str, file: str) -> None:
    path = path_of(data_dir, name, file)
    content = path.read_bytes()
    shape = [7, *struct.unpack_from(f">{content[3]}I", content, 4)[1:]]
    size = math.prod(shape) * (4 if content[2] == 12 else 1)  # in bytes
    for wrong, message in (
        (content[:-1], "has .* bytes, but its header declares .*"),
        (idx(shape, bytes(size), content[2]), "holds 7.* numbers, expected [24]0.*"),
    ):
        path.write_bytes(wrong)
        for dataset in (name, "auto") if name == "mnist" else (name,):
            with pytest.raises(DatasetError, match=f"{file} {message}; delete the file") as caught:
                load_dataset(dataset, data_dir, train="train" in file)
            assert not isinstance(caught.value, DownloadError)


@pytest.mark.parametrize("file", list(SETS["mnist"].md5))
def test_a_file_with_different_content_is_named(data_dir: Path, file: str) -> None:
    path = path_of(data_dir, "mnist", file)
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(DatasetError, match=f"{file} is not the original file .*; delete the file"):
        load_dataset("mnist", data_dir, train="train" in file)


@pytest.mark.parametrize(
    ("name", "file", "end", "label"),
    [
        ("fashion-mnist", "train-labels-idx1-ubyte", bytes([10]), 10),
        ("fashion-mnist", "train-labels-idx1-ubyte", bytes([255]), 255),
        ("qmnist", "qmnist-train-labels-idx2-int", struct.pack(">8i", -3, *range(7)), -3),
    ],
)
def test_a_label_out_of_range_is_rejected(
    data_dir: Path, name: str, file: str, end: bytes, label: int
) -> None:
    path = path_of(data_dir, name, file)
    path.write_bytes(path.read_bytes()[: -len(end)] + end)
    message = f"{file} holds the label {label}, but 10 classes .*; delete the file"
    with pytest.raises(DatasetError, match=message):
        load_dataset(name, data_dir)


@pytest.mark.parametrize(("name", "train"), [("mnist", True), ("mnist", False), ("qmnist", False)])
def test_a_missing_part_is_downloaded(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, train: bool
) -> None:
    part = SETS[name].train if train else SETS[name].test
    path = path_of(data_dir, name, part.labels)
    labels = path.read_bytes()
    path.unlink()

    def download(self: object) -> None:
        path.write_bytes(labels)

    dataset_class = getattr(import_torchvision_datasets(), SETS[name].class_name)
    monkeypatch.setattr(dataset_class, "download", download)
    assert len(load_dataset(name, data_dir, train=train)[0].labels) == part.count


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("mnist", NO_NETWORK, r"no route to host, timed out"),
        ("fashion-mnist", URLError("no route"), "no route"),
        ("kmnist", TimeoutError(), "TimeoutError"),
        ("qmnist", IncompleteRead(b"", 9), r"IncompleteRead\(0 bytes read, 9 more expected\)"),
    ],
)
def test_a_failed_download_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, reason: str
) -> None:
    fail_downloads(monkeypatch, error)
    dataset = SETS[name]
    with pytest.raises(
        DownloadError,
        match=rf"^{dataset.title} is not in .*/{dataset.class_name}/raw and cannot be downloaded "
        rf"\({reason}\); put {dataset.train.images} and {dataset.train.labels} there, or "
        "give the folder that contains .* as --data-dir$",
    ):
        load_dataset(name, tmp_path)


@pytest.mark.parametrize("name", ["mnist", "qmnist"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_other_spellings_and_gzipped_files_are_read_without_a_download(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, suffix: str
) -> None:
    expected = load_dataset(name, data_dir)[0].sha256
    fail_downloads(monkeypatch, NO_NETWORK)
    for path in list(path_of(data_dir, name, "x").parent.iterdir()):
        dotted = path.with_name(path.name.replace("-idx", ".idx"))
        if suffix == ".gz":
            dotted = dotted.with_name(f"{dotted.name}.gz")
            dotted.write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
        else:
            path.rename(dotted)
    assert load_dataset(name, data_dir)[0].sha256 == expected


def test_a_newer_gzipped_file_beside_an_old_one_is_rejected(data_dir: Path) -> None:
    path = path_of(data_dir, "fashion-mnist", "train-labels-idx1-ubyte")
    twin = path.with_name(f"{path.name}.gz")
    twin.write_bytes(gzip.compress(path.read_bytes()))
    load_dataset("fashion-mnist", data_dir)
    twin.write_bytes(gzip.compress(path.read_bytes()[:-1] + b"\1"))
    with pytest.raises(DatasetError, match=f"{path} and {twin} should be equal, but differ"):
        load_dataset("fashion-mnist", data_dir)


@pytest.mark.parametrize("change", ["missing", "content", "count"])
def test_a_generated_dataset_is_not_taken_for_mnist(data_dir: Path, change: str) -> None:
    """cgan-run --format idx writes MNIST/raw, which no download replaces."""
    path = path_of(data_dir, "mnist", "train-images-idx3-ubyte")
    path.with_name("classes.txt").write_text("0\n")
    content = path.read_bytes()
    path.unlink()
    if change == "content":
        path.write_bytes(content[:-1] + b"\1")
    elif change == "count":
        path.write_bytes(idx((1, 28, 28), bytes(784)))
    with pytest.raises(DatasetError) as caught:
        load_dataset("auto", data_dir)
    assert str(caught.value).endswith(
        f"; cgan-run wrote this folder; give --dataset {data_dir}, or another --data-dir"
    )


def test_auto_is_mnist_if_it_is_on_disk(data_dir: Path) -> None:
    data, reason = load_dataset("auto", data_dir)
    assert (data.name, reason) == ("mnist", None)


def test_auto_is_optdigits_if_mnist_cannot_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_downloads(monkeypatch, NO_NETWORK)
    data, reason = load_dataset("auto", tmp_path)
    assert data.name == "optdigits"
    assert "cannot be downloaded" in str(reason)


def test_the_error_about_an_unknown_dataset_lists_the_known_ones(tmp_path: Path) -> None:
    message = "no dataset 'cifar'; choose one of auto, mnist, fashion-mnist, kmnist, qmnist, emnist"
    with pytest.raises(DatasetError, match=message):
        load_dataset("cifar", tmp_path)


@pytest.mark.skipif("CGAN_DATA_DIR" not in os.environ, reason="CGAN_DATA_DIR is not set")
def test_real_mnist_is_read() -> None:
    data, _ = load_dataset("mnist", Path(os.environ["CGAN_DATA_DIR"]))
    assert data.images.shape == (60_000, 1, 28, 28)
    assert data.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.images.float().mean() == pytest.approx(33.318, abs=0.001)
