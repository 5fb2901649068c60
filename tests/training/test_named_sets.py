"""CIFAR-10, SVHN and USPS: files in the formats that torchvision downloads, with known MD5s."""

import bz2
import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.io import savemat

from cgan_training.data import load_dataset
from cgan_training.data.sources import cifar10, download, svhn, usps
from cgan_training.data.sources.download import DownloadError, import_torchvision_datasets
from cgan_training.errors import DatasetError

RNG = np.random.default_rng(0)


def text(value: bytes) -> bytes:
    return b"U" + bytes([len(value)]) + value  # SHORT_BINSTRING


def cifar_file(count: int) -> bytes:
    """Return a file as Python 2 and numpy 1 pickled it."""
    pixels = RNG.integers(0, 256, (count, 3072), np.uint8).tobytes()
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|")
    dtype += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b")
    array += b"\x87R(K\x01K" + bytes([count]) + b"M\x00\x0c\x86" + dtype + b"\x89"
    array += b"T" + len(pixels).to_bytes(4, "little") + pixels + b"tb"
    labels = b"](" + b"".join(b"K" + bytes([each % 10]) for each in range(count)) + b"e"
    return b"\x80\x02}(" + text(b"labels") + labels + text(b"data") + array + b"u."


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small versions of the datasets, whose MD5s the modules accept."""

    def write(module: ModuleType, table: str, folder: Path, contents: Mapping[str, bytes]) -> None:
        folder.mkdir(exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        md5 = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
        assert md5.keys() == getattr(module, table).keys()
        monkeypatch.setattr(module, table, md5)

    batches = {name: cifar_file(20) for name in cifar10.TRAIN_MD5}
    write(cifar10, "TRAIN_MD5", tmp_path / cifar10.FOLDER, batches)
    write(cifar10, "TEST_MD5", tmp_path / cifar10.FOLDER, {"test_batch": cifar_file(10)})
    for table, name, count in (("TRAIN_MD5", "train", 40), ("TEST_MD5", "test", 20)):
        pixels = RNG.integers(0, 256, (32, 32, 3, count), np.uint8)
        labels = np.arange(count).reshape(-1, 1) % 10 + 1
        path = tmp_path / f"{name}_32x32.mat"
        savemat(path, {"X": pixels, "y": labels.astype(np.uint8)}, do_compression=True)
        write(svhn, table, tmp_path, {path.name: path.read_bytes()})
    for table, file, count in (("TRAIN_MD5", "usps.bz2", 40), ("TEST_MD5", "usps.t.bz2", 20)):
        values = RNG.uniform(-1, 1, (count, 256)).round(4)
        lines = [
            f"{row % 10 + 1} " + " ".join(f"{i}:{each}" for i, each in enumerate(values[row], 1))
            for row in range(count)
        ]
        write(usps, table, tmp_path, {file: bz2.compress("\n".join(lines).encode() + b"\n")})
    return tmp_path


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", ["cifar10", "svhn", "usps"])
@pytest.mark.filterwarnings("ignore")  # of torchvision's unpickling of names of numpy 1
def test_files_are_read_as_torchvision_reads_them(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, train: bool
) -> None:
    data, _ = load_dataset(name, data_dir, train=train)
    datasets, split = import_torchvision_datasets(), "train" if train else "test"
    for each in (datasets.CIFAR10, datasets.SVHN):
        monkeypatch.setattr(each, "_check_integrity", lambda _: True)
    monkeypatch.setattr(datasets.CIFAR10, "_load_meta", lambda _: None)
    arguments = {"split": split} if name == "svhn" else {"train": train}
    expected = getattr(datasets, name.upper())(str(data_dir), **arguments)
    for number, (image, label) in enumerate(expected):
        pixels = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
        assert torch.equal(data.images[number], torch.from_numpy(pixels.copy()))
        assert int(data.labels[number]) == label
    assert len(expected) == len(data.labels)


def test_cifar10_has_class_names_and_color(data_dir: Path) -> None:
    data, _ = load_dataset("cifar10", data_dir)
    assert data.image_shape == (3, 32, 32)
    assert data.class_names[3] == "cat"
    assert data.source == f"CIFAR-10 in {data_dir / cifar10.FOLDER}"


@pytest.mark.parametrize(
    ("name", "file", "advice"),
    [
        (
            "cifar10",
            "cifar-10-batches-py/data_batch_3",
            "the folder that contains cifar-10-batches-py",
        ),
        ("svhn", "train_32x32.mat", "another --data-dir"),
        ("usps", "usps.bz2", "another --data-dir"),
    ],
)
def test_another_or_missing_file_is_named(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str, advice: str
) -> None:
    path = data_dir / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=f"{path} is not the original file .*; delete the file"):
        load_dataset(name, data_dir)
    path.unlink()

    def fail(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(download, "torchvision_class", lambda _: fail)
    with pytest.raises(DownloadError, match=f"no network.*{path.name}.* there, or give {advice}"):
        load_dataset(name, data_dir)


def test_a_pickle_with_the_right_md5_still_calls_nothing_else(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"cos\nsystem\n(S'touch hacked'\ntR."
    (data_dir / cifar10.FOLDER / "test_batch").write_bytes(content)
    md5 = {"test_batch": hashlib.md5(content).hexdigest()}
    monkeypatch.setattr(cifar10, "TEST_MD5", md5)
    with pytest.raises(pickle.UnpicklingError, match=r"os\.system is not allowed"):
        load_dataset("cifar10", data_dir, train=False)
