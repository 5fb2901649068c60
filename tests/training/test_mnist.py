import hashlib
import os
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cgan_training.data import load_dataset, mnist
from cgan_training.errors import DatasetError

COUNTS = {"train": 40, "t10k": 20}
RAW = Path("MNIST") / "raw"


def idx(shape: tuple[int, ...], content: bytes) -> bytes:
    header = struct.pack(">BBBB", 0, 0, 8, len(shape)) + struct.pack(f">{len(shape)}I", *shape)
    return header + content


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small data set in MNIST's files, known to the module by its sizes and hashes."""
    files = {}
    for part, count in COUNTS.items():
        pixels = bytes(number % 251 for number in range(count * 28 * 28))
        files[f"{part}-images-idx3-ubyte"] = idx((count, 28, 28), pixels)
        files[f"{part}-labels-idx1-ubyte"] = idx((count,), bytes(n % 10 for n in range(count)))
    (tmp_path / RAW).mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / RAW / name).write_bytes(content)
    known = {name: (len(data), hashlib.md5(data).hexdigest()) for name, data in files.items()}
    monkeypatch.setattr(mnist, "FILES", known)
    return tmp_path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, download: bool, **__: object) -> None:
        assert download
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nTried 2 mirrors")

    monkeypatch.setattr(mnist, "import_torchvision_datasets", lambda: SimpleNamespace(MNIST=refuse))


@pytest.mark.parametrize(("train", "count"), [(True, 40), (False, 20)])
def test_files_on_disk_are_read(data_dir: Path, train: bool, count: int) -> None:
    data = mnist.load(data_dir, train=train)
    assert data.images.shape == (count, 1, 28, 28)
    assert data.images.dtype == torch.uint8
    assert data.images.flatten()[:3].tolist() == [0, 1, 2]
    assert data.labels.tolist() == [n % 10 for n in range(count)]
    assert data.labels.dtype == torch.int64
    assert data.class_names == tuple("0123456789")


@pytest.mark.parametrize("name", list(mnist.FILES))
def test_a_truncated_file_is_named(data_dir: Path, name: str) -> None:
    path = data_dir / RAW / name
    path.write_bytes(path.read_bytes()[:-1])
    for dataset in ("mnist", "auto"):
        with pytest.raises(DatasetError, match=f"{name} has .* bytes where MNIST has .*; delete"):
            load_dataset(dataset, data_dir)


def test_a_file_of_other_content_is_named(data_dir: Path) -> None:
    path = data_dir / RAW / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(DatasetError, match="train-images-idx3-ubyte is not MNIST's file"):
        mnist.load(data_dir)


@pytest.mark.usefixtures("no_network")
def test_out_of_reach_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"cannot be downloaded \(Error downloading .*--data-dir"
    ):
        load_dataset("mnist", tmp_path)


@pytest.mark.usefixtures("no_network")
def test_auto_settles_for_optdigits_and_says_why(tmp_path: Path) -> None:
    data, reason = load_dataset("auto", tmp_path)
    assert data.name == "optdigits"
    assert reason is not None
    assert "cannot be downloaded" in reason


def test_auto_takes_mnist_where_it_is(data_dir: Path) -> None:
    data, reason = load_dataset("auto", data_dir)
    assert (data.name, reason) == ("mnist", None)


def test_an_unknown_name_lists_the_data_sets(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set 'cifar'; choose one of auto, mnist"):
        load_dataset("cifar", tmp_path)


if "CGAN_DATA_DIR" in os.environ:  # the real files, where the machine has them

    def test_real_mnist() -> None:
        data = mnist.load(Path(os.environ["CGAN_DATA_DIR"]))
        assert data.images.shape == (60_000, 1, 28, 28)
        assert data.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
        assert data.images.float().mean() == pytest.approx(33.318, abs=0.001)
