"""The images and files that cgan-run writes."""

import re
from pathlib import Path

import numpy as np
import pytest
from cli_runs import HEIGHT, WIDTH, is_close, names_in, read_png
from commands import Command
from PIL import Image

from cgan_runtime import __version__
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.images.layout import grid


@pytest.mark.parametrize(
    ("arguments", "name", "rows", "columns"),
    [
        ([], "digits-0123456789-seed-7.png", 1, 10),
        (["--digits", "2026", "--count", 3], "digits-2026-seed-7.png", 3, 4),
        (["--digits", "4" * 30], f"digits-{'4' * 20}-seed-7.png", 1, 30),
        (["--digit", 9], "digit-9-seed-7.png", 1, 1),
        (["--digit", 3, "--digit", 3, "--count", 2], "digits-33-seed-7.png", 2, 2),
        (["--digit", 3, "--count", 10], "digit-3-seed-7.png", 3, 4),
        (["--digit", 3, "--count", 2, "--shard", "2/2"], "digit-3-seed-7-shard-2-of-2.png", 1, 1),
        (["--digit", 3, "--count", 5, "--columns", 2], "digit-3-seed-7.png", 3, 2),
        (["--digit", 3, "--count", 5, "--columns", 9], "digit-3-seed-7.png", 1, 9),
    ],
)
def test_default_picture_has_the_documented_name_and_size(
    run: Command, folder: Path, arguments: list[object], name: str, rows: int, columns: int
) -> None:
    done = run(*arguments, "--seed", 7)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"{name}  seed 7\n"
    assert names_in(folder) == [name]
    assert read_png(folder / name).shape == (rows * HEIGHT, columns * WIDTH)


@pytest.mark.parametrize("count", [2, 700], ids=["one batch", "three batches"])
def test_rows_of_a_picture_repeat_the_classes(
    run: Command, folder: Path, generator: ImageGenerator, count: int
) -> None:
    run("--digits", "123", "--count", count, "--seed", 7, "--output", "a.png")
    expected = grid(generator.generate([1, 2, 3] * count, seed=7), 3)[..., 0]
    assert is_close(read_png(folder / "a.png"), expected)


def test_scaled_picture_and_array_show_the_same_image(
    run: Command, folder: Path, generator: ImageGenerator
) -> None:
    run("--digit", 9, "--seed", 7, "--output", "LARGE.PNG", "--scale", 5)
    run("--digit", 9, "--seed", 7, "--output", "A.NPY")
    image = generator.generate(9, seed=7)
    large = np.kron(image[0, 0], np.ones((5, 5), np.uint8))
    np.testing.assert_array_equal(read_png(folder / "LARGE.PNG"), large)
    np.testing.assert_array_equal(np.load(folder / "A.NPY", allow_pickle=False), image)


def test_start_and_threads_do_not_change_images(run: Command, folder: Path) -> None:
    line = ("--digit", 3, "--seed", 7)
    run(*line, "--count", 5, "--output", "all.npy")
    run(*line, "--count", 2, "--start", 3, "--output", "end.npy")
    run(*line, "--count", 5, "--threads", 3, "--output", "threads.npy")
    images, end, threads = (np.load(folder / f"{name}.npy") for name in ("all", "end", "threads"))
    assert is_close(end, images[3:])
    assert is_close(threads, images)


def test_default_seed_is_random_and_can_be_repeated(run: Command, folder: Path) -> None:
    lines = {run("--digit", 3).stdout.decode() for _ in range(3)}
    assert len(lines) == 3
    for line in lines:
        match = re.fullmatch(r"(digit-3-seed-(\d+)\.png)  seed \2\n", line)
        assert match
        run("--digit", 3, "--seed", match[2], "--output", "again.png")
        assert (folder / "again.png").read_bytes() == (folder / match[1]).read_bytes()
    assert len({path.read_bytes() for path in folder.iterdir()}) == 3


def test_picture_contains_its_seed_and_model_as_metadata(
    run: Command, folder: Path, generator: ImageGenerator
) -> None:
    run("--digits", "2026", "--seed", 7, "--start", 5, "--output", "year.png")
    with Image.open(folder / "year.png") as picture:
        picture.load()
        assert picture.info == {
            "Software": f"cgan-runtime {__version__}",
            "cgan:model": generator.model_sha256,
            "cgan:seed": "7",
            "cgan:label": "2,0,2,6",
            "cgan:index": "5",
        }


@pytest.mark.parametrize("shards", [1, 3, 7])
def test_shards_together_equal_one_run(run: Command, folder: Path, shards: int) -> None:
    line = ["--digits", "123", "--count", 7, "--seed", 7, "--start", 11]
    run(*line, "--output", "all.npy")
    run(*line, "--format", "pngs", "--output", "all")
    parts, labels = [], b""
    for number in range(1, shards + 1):
        shard = [*line, "--shard", f"{number}/{shards}"]
        run(*shard, "--output", "part.npy")
        parts.append(np.load(folder / "part.npy"))
        run(*shard, "--format", "pngs", "--output", "parts")
        run(*shard, "--format", "idx", "--output", f"{number}")
        labels += (folder / f"{number}/MNIST/raw/train-labels-idx1-ubyte").read_bytes()[8:]
    assert is_close(np.concatenate(parts), np.load(folder / "all.npy"))
    assert names_in(folder / "parts") == names_in(folder / "all")
    for path in (folder / "all").iterdir():
        assert is_close(read_png(folder / "parts" / path.name), read_png(path))
    assert labels == bytes([1, 2, 3] * 7)


def test_torchvision_loads_an_idx_dataset(
    run: Command, folder: Path, generator: ImageGenerator
) -> None:
    from cgan_training.data.sources.download import import_torchvision_datasets

    mnist = import_torchvision_datasets().MNIST
    run("--count", 30, "--seed", 7, "--format", "idx", "--output", "set")
    train = mnist(root=folder / "set", train=True, download=False)
    assert train.targets.tolist() == list(range(10)) * 30
    assert is_close(train.data.numpy(), generator.generate(list(range(10)) * 30, seed=7)[:, 0])
    run("--count", 2, "--seed", 8, "--format", "idx", "--split", "t10k", "--output", "set")
    assert len(mnist(root=folder / "set", train=False, download=False)) == 20


def test_default_names_contain_classes_and_seed(run: Command, folder: Path) -> None:
    run("--digits", "26", "--seed", 7, "--format", "pngs")
    run("--digit", 2, "--seed", 7, "--format", "idx-gz")
    run("--digit", 2, "--seed", 7, "--format", "npy")
    assert names_in(folder) == ["digit-2-seed-7", "digit-2-seed-7.npy", "digits-26-seed-7"]
    assert names_in(folder / "digits-26-seed-7") == ["2-000000.png", "6-000001.png"]
    assert "train-images-idx3-ubyte.gz" in names_in(folder / "digit-2-seed-7/MNIST/raw")


@pytest.mark.parametrize("file_format", ["png", "npy"])
def test_stdout_receives_the_bytes_of_the_file(
    run: Command, folder: Path, file_format: str
) -> None:
    line = ("--digits", "2026", "--seed", 7, "--format", file_format)
    done = run(*line, "--output", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert not list(folder.iterdir())
    run(*line, "--output", "file")
    assert done.stdout == (folder / "file").read_bytes()
