"""Folders of images: layouts, file formats, and rejected files."""

import io
import shlex
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from cgan_training.data import Conversion, Dataset, load_dataset, load_test_part, pixels
from cgan_training.errors import DatasetError

NOWHERE = Path("nowhere")
RED, BLUE = (200, 10, 30), (0, 0, 250)


def write(path: Path, color: Any = RED, size: tuple[int, int] = (10, 12), **options: Any) -> None:
    """Write an image of one color and of this height and width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "L" if isinstance(color, int) else "RGB"
    Image.new(mode, size[::-1], color).save(path, **options)


def load(root: Path, *, train: bool = True, **conversion: Any) -> Dataset:
    data, _ = load_dataset(str(root), NOWHERE, conversion=Conversion(**conversion))
    return data if train else load_test_part(data, str(root), NOWHERE)


def error_of(root: Path, *, train: bool = True, **conversion: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        load(root, train=train, **conversion)
    message = str(caught.value)
    assert message.isprintable()
    return message.replace(str(root), "ROOT")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, red and blue, with 20 and 2 images."""
    for number in range(20):
        write(tmp_path / "set" / "red" / f"{number}.png", (200, number, 30))
    for number in range(2):
        write(tmp_path / "set" / "blue" / f"{number}.png", (0, number, 250))
    return tmp_path / "set"


def test_a_tenth_of_each_class_is_held_out(root: Path) -> None:
    train, test = load(root), load(root, train=False)
    assert train.class_names == test.class_names == ("blue", "red")
    assert train.labels.bincount().tolist() == [1, 18]
    assert test.labels.bincount().tolist() == [1, 2]
    assert train.images.shape == (19, 3, 10, 12)
    assert train.images.dtype == torch.uint8
    shown = {image.numpy().tobytes() for data in (train, test) for image in data.images}
    assert len(shown) == 22
    (note,) = train.notes
    held_out = "3 of 22 images are held out for testing: a tenth of each class, and one of a class"
    assert note == f"there is no test part, so {held_out} with 2 to 9 images"


def test_the_held_out_images_depend_on_the_names_only(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for path in sorted(root.rglob("*.png"), reverse=True):
        target = copy / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert load(copy).sha256 == load(root).sha256
    assert load(copy, train=False).sha256 == load(root, train=False).sha256


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("Train", "Val"), ("training", "validation")]
)
def test_parts_may_be_folders(tmp_path: Path, train: str, test: str) -> None:
    for part, count in ((train, 3), (test, 2)):
        for name in ("a", "b"):
            for number in range(count):
                write(tmp_path / part / name / f"{number}.png", (number, 90, 0))
    assert load(tmp_path).labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert load(tmp_path, train=False).labels.tolist() == [0, 0, 1, 1]
    write(tmp_path / "more" / "c" / "1.png")
    assert load(tmp_path).notes == ("folders that are not used: 'more'",)
    write(tmp_path / test / "c" / "1.png")
    assert "class 'c' of ROOT/" in error_of(tmp_path, train=False)
    write(tmp_path / train / "c" / "1.png")
    write(tmp_path / train / "d" / "1.png")
    assert error_of(tmp_path, train=False).startswith("class 'd' has no test images in ROOT/")


def test_a_class_may_have_the_name_of_a_part(tmp_path: Path) -> None:
    for name in ("train", "car"):
        write(tmp_path / name / "1.png")
    assert load(tmp_path).class_names == ("car", "train")


def test_a_test_part_of_another_size_is_rejected(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a" / "1.png")
    write(tmp_path / "test" / "a" / "1.png", size=(12, 12))
    assert error_of(tmp_path) == (
        "the images have different sizes: ROOT/train/a/1.png has 10 x 12 pixels, but "
        "ROOT/test/a/1.png has 12 x 12; convert them to one size, for example with --image-size 32"
    )
    assert load(tmp_path, train=False, image_size=(9, 8)).image_shape == (3, 9, 8)


def test_files_other_than_images_are_ignored(root: Path) -> None:
    expected = load(root)
    for name in ("red/.DS_Store", "red/._1.png", "red/Thumbs.db", "__MACOSX/red/1.png", ".x/1.png"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"nothing")
    assert load(root).notes == expected.notes
    (root / "empty").mkdir()
    (root / "red" / "about.txt").touch()
    write(root / "cover.png")
    data = load(root)
    assert data.sha256 == expected.sha256
    assert data.notes[:3] == (
        "images outside the class folders, which are not used: 'cover.png'",
        "folders without images, which are not classes: 'empty'",
        "files of other types, which are not used: 'red/about.txt'",
    )


def test_links_are_followed_once(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "1.png", BLUE)
    (root / "red" / "loop").symlink_to(root / "red")
    (root / "red" / "up").symlink_to(root)
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "linked" / "again.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    data = load(root)
    assert data.class_names == ("blue", "linked", "red")
    assert data.labels.bincount()[1] == 1  # the other one is held out


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "ROOT has no images in folders below it; put the images of each class into a folder "),
        (["1.png", "2.png"], "ROOT has 2 images, but no folder for each class; give its parent "),
        (["a/x.txt"], "ROOT has no images in folders below it; "),
        (["test/a/1.png"], "ROOT has the folder test, but no folder train; add the folder "),
        (["a\x1b/1.png"], "the class name 'a\\x1b' in ROOT has unprintable characters; rename "),
        (["e\u0301/1.png", "é/1.png"], "ROOT has two folders of the name 'é'; rename one"),
    ],
)
def test_a_folder_without_classes_is_rejected(
    tmp_path: Path, names: list[str], message: str
) -> None:
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("png"):
            write(path)
        else:
            path.touch()
    assert error_of(tmp_path).startswith(message)


def test_one_class_is_mentioned_and_case_distinguishes_classes(tmp_path: Path) -> None:
    write(tmp_path / "only" / "1.png")
    assert "there is only one class, 'only'" in load(tmp_path).notes[0]
    assert error_of(tmp_path, train=False).startswith("class 'only' has no test images")
    write(tmp_path / "Only" / "1.png")
    assert load(tmp_path).class_names == ("Only", "only")


def test_a_thousand_classes_are_loaded(tmp_path: Path) -> None:
    for number in range(1000):
        write(tmp_path / f"{number:03}" / "1.png", size=(8, 8))
    assert load(tmp_path).classes == 1000


# Each function writes a file and returns the color of all of its pixels, gray or RGB.
def png16(path: Path) -> Any:
    Image.fromarray(np.full((10, 12), 0xC812, np.uint16)).save(path)
    return 0xC8


def palette_with_alpha(path: Path) -> Any:
    image = Image.new("P", (12, 10), 1)
    image.putpalette([0, 0, 0, *RED])
    image.save(path, transparency=1)
    return (255, 255, 255)


def half_transparent(path: Path) -> Any:
    Image.new("RGBA", (12, 10), (0, 0, 0, 51)).save(path)
    return 204


def one_bit(path: Path) -> Any:
    Image.new("1", (12, 10), 1).save(path)
    return 255


def cmyk(path: Path) -> Any:
    Image.new("CMYK", (12, 10), (0, 255, 255, 0)).save(path, quality=100)
    return (255, 0, 0)


def animated(path: Path) -> Any:
    frames = [Image.new("RGB", (12, 10), color) for color in (RED, BLUE)]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    return RED


def rotated(path: Path) -> Any:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated by a quarter turn
    Image.new("RGB", (10, 12), RED).save(path, exif=exif, quality=100)
    return RED


def damaged_exif(path: Path) -> Any:
    Image.new("L", (12, 10), 77).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff", quality=100)
    return 77


def gray_alpha(path: Path) -> Any:
    Image.new("LA", (12, 10), (90, 255)).save(path)
    return 90


def pgm16(path: Path) -> Any:
    path.write_bytes(b"P5 12 10 65535\n" + b"\x40\x00" * 120)
    return 64


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("1.png", png16),
        ("1.png", palette_with_alpha),
        ("1.png", half_transparent),
        ("1.bmp", one_bit),
        ("1.JPG", cmyk),
        ("1.tiff", cmyk),
        ("1.gif", animated),
        ("1.webp", animated),
        ("1.jpeg", rotated),
        ("1.jpg", damaged_exif),
        ("1.png", gray_alpha),
        ("1.pgm", pgm16),
    ],
)
def test_every_kind_of_image_is_decoded(
    tmp_path: Path, name: str, make: Callable[[Path], Any]
) -> None:
    (tmp_path / "a").mkdir()
    color = make(tmp_path / "a" / name)
    data = load(tmp_path)
    channels = 1 if isinstance(color, int) or len(set(color)) == 1 else 3
    assert data.image_shape == (channels, 10, 12)
    expected = torch.tensor(color).expand(3)[:channels].view(1, channels, 1, 1)
    assert (data.images.int() - expected).abs().max() <= 2  # JPEG and GIF may round
    assert any("animated" in note for note in data.notes) == (make is animated)
    if channels == 3:
        luma = Image.new("RGB", (1, 1), color).convert("L").getpixel((0, 0))
        assert (load(tmp_path, channels=1).images.int() - luma).abs().max() <= 2  # type: ignore[operator]


def png_of_size(width: int, height: int) -> bytes:
    """Return a PNG file of any size without pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiff_of_floats() -> bytes:
    file = io.BytesIO()
    Image.new("F", (12, 10), 0.5).save(file, "TIFF")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "size", "reason"),
    [
        (b"", None, "it is empty"),
        (b"not an image", None, "it is not a PNG, JPEG, BMP, GIF, WEBP, TIFF or PPM file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", None, "it is not a PNG, JPEG"),
        (png_of_size(60_000, 60_000), None, "it has more than 67,108,864 pixels"),
        (png_of_size(12, 10), None, "it is damaged ("),
        (png_of_size(12, 10), (10, 12), "it is damaged ("),
        (png_of_size(9000, 9000), None, "it has more than 67,108,864 pixels"),
        (tiff_of_floats(), None, "it holds numbers of 32 bits; save it with 8 or 16 bits per ch"),
    ],
    ids=["empty", "text", "EPS", "bomb", "no pixels", "--image-size", "large", "floats"],
)
def test_a_file_that_cannot_be_read_is_named(
    root: Path, content: bytes, size: tuple[int, int] | None, reason: str
) -> None:
    path = root / "red" / "0.png"
    path.write_bytes(content)
    error = error_of(root, image_size=size)
    assert error.startswith(f"cannot read ROOT/red/0.png: {reason}")
    assert "; replace unreadable images by valid ones with the same file names, or " in error


def test_unreadable_files_of_both_parts_are_listed_for_the_shell(root: Path) -> None:
    for path in root.glob("blue/*.png"):  # one of the two is held out, the other one is not
        path.write_bytes(b"")
    (root / "red" / "a b.png").touch()
    assert error_of(root) == (
        "cannot read 3 of 23 images, first ROOT/blue/0.png: it is empty; replace "
        "unreadable images by valid ones with the same file names, or delete them; deleting "
        "images changes which images are held out for testing; the unreadable "
        "images are ROOT/blue/0.png ROOT/blue/1.png 'ROOT/red/a b.png'"
    )
    for number in range(30):
        (root / "blue" / f"{number}.png").touch()
    error = error_of(root)
    assert error.startswith("cannot read 31 of 51 images, first ROOT/blue/0.png: it is empty; ")
    _, names = error.split("; the first 20 unreadable images are ")
    assert len(shlex.split(names)) == 20


def test_a_damaged_file_of_a_test_folder_is_found_before_the_training(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path / part / "a" / "1.png")
    write(tmp_path / "test" / "a" / "2.png")
    assert len(load(tmp_path).labels) == 1
    path = tmp_path / "test" / "a" / "2.png"
    path.write_bytes(path.read_bytes()[:-30])
    assert error_of(tmp_path).startswith("cannot read ROOT/test/a/2.png: it is damaged (")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "tif", "bmp"])
def test_a_truncated_file_is_rejected(root: Path, suffix: str) -> None:
    path = root / "red" / f"5.{suffix}"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (10, 12, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-40])
    assert "ROOT/red/5." in error_of(root)


def test_images_of_different_sizes_need_an_image_size(root: Path) -> None:
    write(root / "red" / "7.png", size=(30, 20))
    assert error_of(root) == (
        "the images have different sizes: ROOT/blue/0.png has 10 x 12 pixels, but ROOT/red/7.png "
        "has 30 x 20; convert them to one size, for example with --image-size 32"
    )
    data = load(root, image_size=(16, 16))
    assert data.image_shape == (3, 16, 16)
    note = "images of 10 x 12 to 30 x 20 pixels are cropped at the center and resampled to 16 x 16"
    assert note in data.notes


@pytest.mark.parametrize(("size", "said"), [((7, 9), "7 x 9"), ((40, 129), "40 x 129")])
def test_sizes_that_are_not_supported_name_the_option(
    tmp_path: Path, size: tuple[int, int], said: str
) -> None:
    write(tmp_path / "a" / "1.png", size=size)
    error = error_of(tmp_path)
    assert f"the images have {said} pixels (height x width), but 8 to 128 are supported" in error
    assert "--image-size 32" in error


def test_the_memory_is_bounded_before_decoding(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "MAX_DATASET_BYTES", 10_000)
    monkeypatch.setattr(Image.Image, "load", None)
    error = error_of(root, image_size=(100, 100))
    assert "19 images of 100 x 100 pixels take 0.0 GB of memory, more than" in error


def gray_jpeg(path: Path, pixels: NDArray[np.uint8]) -> None:
    Image.fromarray(pixels).convert("RGB").save(path)


def test_gray_images_stored_in_color_have_one_channel(root: Path) -> None:
    rng = np.random.default_rng(0)
    for path in list(root.rglob("*.png")):
        gray_jpeg(path.with_suffix(".jpg"), rng.integers(0, 256, (10, 12), np.uint8))
        path.unlink()
    data = load(root)
    assert data.image_shape == (1, 10, 12)
    assert "every image is gray, so the dataset has one channel" in data.notes
    assert data.sha256 == load(root, channels=1).sha256
    for number in range(5):  # one image in color is enough, but some are held out
        write(root / "red" / f"{number}.jpg")
    assert load(root).image_shape == (3, 10, 12)


def test_the_test_part_has_the_channels_of_the_training_part(tmp_path: Path) -> None:
    for part, color in (("train", RED), ("test", (9, 9, 9))):
        write(tmp_path / part / "a" / "1.png", color)
    assert load(tmp_path, train=False).image_shape == (3, 10, 12)
    write(tmp_path / "train" / "a" / "1.png", (9, 9, 9))
    write(tmp_path / "test" / "a" / "1.png", RED)
    assert load(tmp_path, train=False).image_shape == (1, 10, 12)
