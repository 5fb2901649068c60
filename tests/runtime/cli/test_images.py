"""What cgan-run draws."""

import re
from pathlib import Path

import numpy as np
import pytest
from cli_runs import HEIGHT, WIDTH, Draw, differ_by_a_grey_level_at_most, pixels
from folders import names_in
from PIL import Image

from cgan_runtime import __version__
from cgan_runtime.errors import InputError, ModelError
from cgan_runtime.generator import ImageGenerator


def test_one_digit(draw: Draw, folder: Path, generator: ImageGenerator) -> None:
    done = draw("--digit", 9, "--seed", 7)
    assert done.exit_code == 0
    assert done.stdout == "digit-9-seed-7.png  seed 7\n"
    assert done.stderr == ""
    assert names_in(folder) == ["digit-9-seed-7.png"]
    wanted = generator.generate(9, seed=7)[0, 0]
    np.testing.assert_array_equal(pixels(folder / "digit-9-seed-7.png"), wanted)


@pytest.mark.parametrize(
    ("arguments", "name", "rows", "columns"),
    [
        ([], "digits-0123456789-seed-7.png", 1, 10),
        (["--count", 3], "digits-0123456789-seed-7.png", 3, 10),
        (["--digits", "2026"], "digits-2026-seed-7.png", 1, 4),
        (["--digits", "2026", "--count", 3], "digits-2026-seed-7.png", 3, 4),
        (["--digits", "0"], "digit-0-seed-7.png", 1, 1),
        (["--digits", "4" * 30], f"digits-{'4' * 20}-seed-7.png", 1, 30),
        (["--digit", 3, "--digit", 8], "digits-38-seed-7.png", 1, 2),
        (["--digit", 3, "--digit", 3, "--count", 2], "digits-33-seed-7.png", 2, 2),
        (["--digit", 3, "--count", 9], "digit-3-seed-7.png", 3, 3),
        (["--digit", 3, "--count", 10], "digit-3-seed-7.png", 3, 4),
        (["--digit", 3, "--count", 2], "digit-3-seed-7.png", 1, 2),
    ],
)
def test_the_picture_is_named_and_sized_after_what_was_asked_for(
    draw: Draw, folder: Path, arguments: list[object], name: str, rows: int, columns: int
) -> None:
    done = draw(*arguments, "--seed", 7)
    assert done.stdout == f"{name}  seed 7\n"
    assert pixels(folder / name).shape == (rows * HEIGHT, columns * WIDTH)


def test_each_row_holds_one_of_each(draw: Draw, folder: Path, generator: ImageGenerator) -> None:
    draw("--digits", "26", "--count", 2, "--seed", 7)
    page = pixels(folder / "digits-26-seed-7.png")
    images = generator.generate([2, 6, 2, 6], seed=7)[:, 0]
    wanted = np.block([[images[0], images[1]], [images[2], images[3]]])
    assert differ_by_a_grey_level_at_most(page, wanted)


def test_a_scaled_picture(draw: Draw, folder: Path) -> None:
    draw("--digit", 9, "--seed", 7, "--output", "small.png")
    draw("--digit", 9, "--seed", 7, "--output", "large.png", "--scale", 5)
    small, large = pixels(folder / "small.png"), pixels(folder / "large.png")
    np.testing.assert_array_equal(large, np.kron(small, np.ones((5, 5), np.uint8)))


def test_an_array(draw: Draw, folder: Path, generator: ImageGenerator) -> None:
    done = draw("--digit", 3, "--digit", 8, "--count", 5, "--seed", 7, "--output", "pairs.npy")
    assert done.stdout == "pairs.npy  seed 7\n"
    images = np.load(folder / "pairs.npy", allow_pickle=False)
    assert images.dtype == np.uint8
    assert images.shape == (10, 1, HEIGHT, WIDTH)
    wanted = generator.generate([3, 8] * 5, seed=7)
    assert differ_by_a_grey_level_at_most(images, wanted)


def test_the_ending_may_be_in_capitals(draw: Draw, folder: Path) -> None:
    draw("--digit", 3, "--output", "A.PNG")
    draw("--digit", 3, "--output", "A.NPY")
    assert pixels(folder / "A.PNG").shape == (HEIGHT, WIDTH)
    assert np.load(folder / "A.NPY").shape == (1, 1, HEIGHT, WIDTH)


def test_start_goes_on_where_another_call_ended(draw: Draw, folder: Path) -> None:
    draw("--digit", 3, "--count", 5, "--seed", 7, "--output", "all.npy")
    draw("--digit", 3, "--count", 2, "--seed", 7, "--start", 3, "--output", "end.npy")
    draw("--digit", 3, "--count", 5, "--seed", 7, "--output", "threads.npy", "--threads", 3)
    images = np.load(folder / "all.npy")
    assert differ_by_a_grey_level_at_most(np.load(folder / "end.npy"), images[3:])
    assert differ_by_a_grey_level_at_most(np.load(folder / "threads.npy"), images)


def test_a_seed_draws_the_same_bytes(draw: Draw, folder: Path) -> None:
    for name, seed in (("one", 7), ("two", 7), ("other", 8), ("last", 2**64 - 1)):
        assert draw("--digits", "2026", "--seed", seed, "--output", f"{name}.png").exit_code == 0
    one, two, other, last = (
        (folder / f"{name}.png").read_bytes() for name in ("one", "two", "other", "last")
    )
    assert one == two
    assert len({one, other, last}) == 3


def test_a_new_seed_each_time_that_can_be_asked_for_again(draw: Draw, folder: Path) -> None:
    lines = [draw("--digit", 3).stdout for _ in range(3)]
    assert len(set(lines)) == 3
    for line in lines:
        found = re.fullmatch(r"(digit-3-seed-(\d+)\.png)  seed \2\n", line)
        assert found
        draw("--digit", 3, "--seed", found[2], "--output", "again.png")
        assert (folder / "again.png").read_bytes() == (folder / found[1]).read_bytes()


@pytest.mark.parametrize(
    ("columns", "count", "shape"), [(2, 5, (3, 2)), (5, 5, (1, 5)), (9, 5, (1, 9)), (1, 5, (5, 1))]
)
def test_columns(
    draw: Draw, folder: Path, columns: int, count: int, shape: tuple[int, int]
) -> None:
    draw("--digit", 4, "--count", count, "--columns", columns, "--seed", 7, "--output", "c.png")
    assert pixels(folder / "c.png").shape == (shape[0] * HEIGHT, shape[1] * WIDTH)


def test_a_picture_of_more_rows_than_a_batch(
    draw: Draw, folder: Path, generator: ImageGenerator
) -> None:
    draw("--digits", "123", "--count", 700, "--seed", 7, "--output", "tall.png")
    images = generator.generate([1, 2, 3] * 700, seed=7)
    wanted = np.concatenate(
        [np.concatenate(row, axis=1) for row in images[:, 0].reshape(700, 3, HEIGHT, WIDTH)]
    )
    assert differ_by_a_grey_level_at_most(pixels(folder / "tall.png"), wanted)


def test_a_picture_says_what_it_is(draw: Draw, folder: Path, generator: ImageGenerator) -> None:
    draw("--digits", "2026", "--seed", 7, "--start", 5, "--output", "year.png")
    with Image.open(folder / "year.png") as picture:
        picture.load()
        assert picture.info == {
            "Software": f"cgan-runtime {__version__}",
            "cgan:model": generator.model_sha256,
            "cgan:seed": "7",
            "cgan:label": "2,0,2,6",
            "cgan:index": "5",
        }


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shards_together_are_one_run(draw: Draw, folder: Path, shards: int) -> None:
    wanted = ["--digits", "123", "--count", 7, "--seed", 7, "--start", 11]
    draw(*wanted, "--output", "all.npy")
    draw(*wanted, "--format", "pngs", "--output", "all")
    for which in range(1, shards + 1):
        shard = ["--shard", f"{which}/{shards}"]
        draw(*wanted, *shard, "--output", f"{which}.npy")
        draw(*wanted, *shard, "--format", "pngs", "--output", "parts")
        draw(*wanted, *shard, "--format", "idx", "--output", f"idx-{which}")
    names = [f"{which}.npy" for which in range(1, shards + 1)]
    parts = np.concatenate([np.load(folder / name) for name in names])
    assert differ_by_a_grey_level_at_most(parts, np.load(folder / "all.npy"))
    assert names_in(folder / "parts") == names_in(folder / "all")
    for path in (folder / "all").iterdir():
        assert differ_by_a_grey_level_at_most(pixels(folder / "parts" / path.name), pixels(path))
    labels = b"".join(
        (folder / f"idx-{which}/MNIST/raw/train-labels-idx1-ubyte").read_bytes()[8:]
        for which in range(1, shards + 1)
    )
    assert labels == bytes([1, 2, 3] * 7)


def test_shards_have_names_of_their_own(draw: Draw, folder: Path) -> None:
    for which in (1, 2):
        draw("--digit", 4, "--count", 2, "--seed", 7, "--shard", f"{which}/2")
    assert names_in(folder) == [f"digit-4-seed-7-shard-{which}-of-2.png" for which in (1, 2)]


def test_a_shard_of_nothing(draw: Draw) -> None:
    with pytest.raises(InputError, match="shard 1/3 of 2 images has none of them; use fewer"):
        draw("--digit", 4, "--count", 2, "--shard", "1/3")


def test_a_data_set_that_torchvision_reads(
    draw: Draw, folder: Path, generator: ImageGenerator
) -> None:
    from cgan_training.data.torchvision_ops import import_torchvision_datasets

    done = draw("--count", 30, "--seed", 7, "--format", "idx", "--output", "set")
    assert done.stdout == "set  seed 7\n"
    found = import_torchvision_datasets().MNIST(root=folder / "set", train=True, download=False)
    assert len(found) == 300
    assert found.targets.tolist() == list(range(10)) * 30
    wanted = generator.generate(list(range(10)) * 30, seed=7)[:, 0]
    assert differ_by_a_grey_level_at_most(found.data.numpy(), wanted)
    draw("--count", 2, "--seed", 8, "--format", "idx", "--split", "t10k", "--output", "set")
    found = import_torchvision_datasets().MNIST(root=folder / "set", train=False, download=False)
    assert len(found) == 20


def test_a_folder_is_named_after_what_was_asked_for(draw: Draw, folder: Path) -> None:
    draw("--digits", "26", "--seed", 7, "--format", "pngs")
    draw("--digit", 2, "--seed", 7, "--format", "idx-gz")
    draw("--digit", 2, "--seed", 7, "--format", "npy")
    assert names_in(folder) == ["digit-2-seed-7", "digit-2-seed-7.npy", "digits-26-seed-7"]
    assert names_in(folder / "digits-26-seed-7") == ["2-000000.png", "6-000001.png"]
    assert "train-images-idx3-ubyte.gz" in names_in(folder / "digit-2-seed-7/MNIST/raw")


def test_an_old_file_is_replaced(draw: Draw, folder: Path) -> None:
    path = folder / "digit.png"
    path.write_text("old")
    draw("--digit", 3, "--output", path)
    assert pixels(path).shape == (HEIGHT, WIDTH)
    assert list(folder.iterdir()) == [path]


def test_an_error_is_raised_for_the_command_to_tell(draw: Draw) -> None:
    with pytest.raises(ModelError, match=r"there is no model none\.onnx"):
        draw("--model", "none.onnx")
