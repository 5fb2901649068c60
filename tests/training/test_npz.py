"""Datasets in .npz files, and the conversion of numbers of other types."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cgan_training.data import Dataset, load_dataset, load_test_part
from cgan_training.errors import DatasetError

NOWHERE = Path("nowhere")
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 9, 8), np.uint8)
COLOR = RNG.integers(0, 256, (30, 9, 8, 3), np.uint8)
LABELS = np.arange(30, dtype=np.uint8).reshape(-1, 1) % 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "small.npz"


def load(path: Path, *, train: bool = True) -> Dataset:
    data, _ = load_dataset(str(path), NOWHERE)
    return data if train else load_test_part(data, str(path), NOWHERE)


def error_of(path: Path, *, train: bool = True) -> str:
    with pytest.raises(DatasetError) as caught:
        load(path, train=train)
    message = str(caught.value)
    assert message.isprintable()
    return message.replace(str(path), "FILE")


@pytest.mark.parametrize("images", [IMAGES, COLOR], ids=["gray", "color"])
def test_the_layout_of_medmnist_is_read(path: Path, images: NDArray[np.uint8]) -> None:
    parts = {"train": images[:20], "val": images[20:25], "test": images[24:]}
    arrays = {f"{part}_images": each for part, each in parts.items()}
    labels = {f"{part}_labels": LABELS[: len(each)] for part, each in parts.items()}
    np.savez_compressed(path, **arrays, **labels)  # type: ignore[arg-type]
    data = load(path)
    expected = images[:20, None] if images.ndim == 3 else images[:20].transpose(0, 3, 1, 2)
    assert torch.equal(data.images, torch.from_numpy(expected.copy()))
    assert data.labels.tolist() == LABELS[:20, 0].tolist()
    assert (data.name, data.class_names, data.notes) == ("small.npz", ("0", "1", "2"), ())
    assert len(load(path, train=False).labels) == 6
    path.with_name("classes.txt").write_text("a\nb\nc\n")
    assert load(path, train=False).class_names == ("a", "b", "c")


def test_the_keys_of_keras_are_read(path: Path) -> None:
    part = {"x_train": IMAGES, "y_train": LABELS[:, 0], "x_test": IMAGES[:6], "y_test": LABELS[:6]}
    np.savez(path, **part)  # type: ignore[arg-type]
    assert len(load(path).labels) == 30
    assert len(load(path, train=False).labels) == 6


def test_the_validation_part_replaces_a_missing_test_part(path: Path) -> None:
    np.savez(
        path,
        train_images=IMAGES,
        train_labels=LABELS,
        val_images=IMAGES[:3],
        val_labels=LABELS[:3],
    )
    assert len(load(path, train=False).labels) == 3


@pytest.mark.parametrize(
    ("test_images", "message"),
    [(IMAGES[:9], "FILE has 9 images but 30 labels"), (IMAGES * np.nan, "FILE holds float64")],
)
def test_a_damaged_test_part_is_found_before_the_training(
    path: Path, test_images: NDArray[Any], message: str
) -> None:
    parts: dict[str, Any] = {
        "train_images": IMAGES,
        "train_labels": LABELS,
        "test_labels": LABELS,
    }
    np.savez(path, **parts, test_images=IMAGES)
    load(path)
    np.savez(path, **parts, test_images=test_images)
    assert error_of(path).startswith(message)


def test_a_tenth_is_held_out_without_other_parts(path: Path) -> None:
    np.savez(path, train_images=IMAGES, train_labels=LABELS)
    train, test = load(path), load(path, train=False)
    assert train.labels.bincount().tolist() == [9, 9, 9]
    assert test.labels.bincount().tolist() == [1, 1, 1]
    assert "3 of 30 images are held out" in train.notes[0]
    shown = {image.numpy().tobytes() for data in (train, test) for image in data.images}
    assert len(shown) == 30


@pytest.mark.parametrize(
    ("numbers", "pixel"),
    [
        (np.array([[0.0, 0.5], [1.0, 0.25]]), [0, 128, 255, 64]),
        (np.array([[-1.0, 0.0], [1.0, 0.5]]), [0, 128, 255, 191]),
        (np.array([[0.0, 127.4], [255.0, 1.6]]), [0, 127, 255, 2]),
        (np.array([[0, 7], [255, 64]]), [0, 7, 255, 64]),
        (np.array([[False, True], [True, False]]), [0, 255, 255, 0]),
    ],
    ids=["0..1", "-1..1", "0..255", "integers", "truth values"],
)
def test_other_numbers_are_scaled_to_bytes(
    path: Path, numbers: NDArray[Any], pixel: list[int]
) -> None:
    images = np.tile(numbers, (2, 4, 4))
    dark = images[:, :1, :1].repeat(8, 1).repeat(8, 2)  # scaled as the training images are
    labels = np.zeros(2, np.int64)
    np.savez(path, train_images=images, train_labels=labels, test_images=dark, test_labels=labels)
    assert load(path).images[0, 0, :2, :2].flatten().tolist() == pixel
    assert load(path, train=False).images.unique().tolist() == [0]


def test_test_images_of_another_type_and_range_are_rejected(path: Path) -> None:
    arrays: dict[str, Any] = {"train_images": IMAGES, "train_labels": LABELS, "test_labels": LABELS}
    np.savez(path, test_images=IMAGES / 255, **arrays)
    assert error_of(path, train=False) == (
        "FILE holds float64 numbers from 0 to 1 as test images, but the training images are "
        "uint8 numbers from 0 to 255; scale both to the same range"
    )
    np.savez(path, test_images=IMAGES.astype(np.float32), **arrays)
    assert torch.equal(load(path, train=False).images, load(path).images)


def header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES}, "FILE lacks the arrays train_images and train_labels (it holds 'im"),
        ({"train_images": IMAGES[:9]}, "FILE has 9 images but 30 labels; "),
        ({"train_images": IMAGES + 0.5}, "FILE holds float64 numbers from 0.5 to 255.5 as images"),
        ({"train_images": IMAGES * np.nan}, "FILE holds float64 numbers from nan to nan as im"),
        ({"train_images": IMAGES - 1 * np.int16(2)}, "FILE holds int16 numbers from -2 to 253 "),
        ({"train_images": IMAGES[:, :, :, None, None]}, "FILE holds images of the shape [30, 9, "),
        ({"train_images": IMAGES.reshape(30, 72)}, "FILE holds images of the shape [30, 72], exp"),
        ({"train_images": COLOR[..., :2]}, "FILE holds images of the shape [30, 9, 8, 2], expec"),
        ({"train_images": IMAGES[:0]}, "train_images in FILE is empty; "),
        ({"train_images": IMAGES[:, :7]}, "FILE: the images have 7 x 8 pixels (height x width), "),
        ({"train_images": IMAGES.astype(str)}, "train_images in FILE holds <U3, expected numbers"),
        ({"train_labels": np.ones((30, 14))}, "train_labels in FILE holds 14 numbers per image as"),
        ({"train_labels": LABELS + 0.5}, "train_labels in FILE holds labels that are not whole"),
        (
            {"train_labels": np.full(30, np.inf)},
            "train_labels in FILE holds labels that are not whol",
        ),
        ({"train_labels": LABELS * 2}, "class '1' has no training images in FILE; add some, or "),
        ({"train_labels": LABELS - 1.0}, "FILE holds the label -1, but 2 classes allow 0 to 1; "),
        ({"train_labels": np.array([{}] * 30)}, "train_labels in FILE holds object, expected num"),
    ],
)
def test_other_arrays_are_rejected(path: Path, arrays: dict[str, Any], message: str) -> None:
    if "images" in arrays:
        np.savez(path, **arrays)
    else:
        np.savez(path, **{"train_images": IMAGES, "train_labels": LABELS} | arrays)
    assert error_of(path).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header((2**20, 128, 128)), "train_images in FILE may have at most 4,294,967,296 bytes, "),
        (header((5, 8, 8)), "train_images in FILE has 0 bytes, but its header declares 32"),
        (
            header((1, 8, 8)) + bytes(2**20),
            "train_images in FILE has more than 64 bytes, but its h",
        ),
        (b"\x93NUMPY\x01\x00\xff\xff", "FILE is not a .npz file, or is damaged ("),
        (b"garbage", "FILE is not a .npz file, or is damaged ("),
    ],
)
def test_an_array_is_read_as_far_as_its_header_declares(
    path: Path, content: bytes, message: str
) -> None:
    np.savez(path, train_labels=LABELS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train_images.npy", content)
    assert error_of(path).startswith(message)


def test_a_file_that_is_no_archive_is_rejected(path: Path) -> None:
    assert error_of(path).startswith("cannot read FILE: No such file or directory; check")
    path.write_bytes(b"text")
    assert error_of(path).startswith("FILE is not a .npz file, or is damaged (BadZipFile: ")
    np.savez(path, train_images=IMAGES, train_labels=LABELS)
    path.write_bytes(path.read_bytes()[:-50])
    assert error_of(path).startswith("FILE is not a .npz file, or is damaged (")
    other = path.with_name("archive.zip")
    other.touch()
    assert error_of(other) == "FILE is a file; give a folder or a .npz file as --dataset"
