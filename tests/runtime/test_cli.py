import dataclasses
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from cgan_runtime import __version__
from cgan_runtime.cli import command
from cgan_runtime.contract import ModelInfo
from cgan_runtime.errors import InputError, ModelError
from cgan_runtime.generator import DigitGenerator

Images = NDArray[np.uint8]
Command = Callable[..., "subprocess.CompletedProcess[bytes]"]
Draw = Callable[..., Result]
HEIGHT, WIDTH = 12, 9  # of the tiny model's images
SCRIPT = Path(sys.executable).with_name("cgan-run")
BLOCKS = "▀▄█"


@pytest.fixture
def draw(tiny_model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Run the command with the tiny model in this process: draw("--digit", 9)."""
    monkeypatch.chdir(folder)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(
            command, ["--model", str(tiny_model), *map(str, arguments)], catch_exceptions=False
        )

    return run


def pixels(png: Path | bytes) -> Images:
    with Image.open(png if isinstance(png, Path) else BytesIO(png)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        return np.asarray(picture)


def differ_by_a_grey_level_at_most(found: Images, wanted: Images) -> bool:
    return found.shape == wanted.shape and bool(
        (np.abs(found.astype(int) - wanted.astype(int)) <= 1).all()
    )


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def the_error(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Return the one line that a call ended with."""
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1, done.stderr.decode()
    assert lines[0].startswith("error: ")
    return lines[0]


# What is drawn.


def test_one_digit(draw: Draw, folder: Path, generator: DigitGenerator) -> None:
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


def test_each_row_holds_one_of_each(draw: Draw, folder: Path, generator: DigitGenerator) -> None:
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


def test_an_array(draw: Draw, folder: Path, generator: DigitGenerator) -> None:
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
    draw: Draw, folder: Path, generator: DigitGenerator
) -> None:
    draw("--digits", "123", "--count", 700, "--seed", 7, "--output", "tall.png")
    images = generator.generate([1, 2, 3] * 700, seed=7)
    wanted = np.concatenate(
        [np.concatenate(row, axis=1) for row in images[:, 0].reshape(700, 3, HEIGHT, WIDTH)]
    )
    assert differ_by_a_grey_level_at_most(pixels(folder / "tall.png"), wanted)


def test_a_picture_says_what_it_is(draw: Draw, folder: Path, generator: DigitGenerator) -> None:
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
    draw: Draw, folder: Path, generator: DigitGenerator
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


# Classes by name.

NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "+",
    "お茶",
    "Shirt",
    "7",
    "a",
    "Ankle boot",
)


@pytest.fixture
def named_model(make_model: Callable[..., Path], info: ModelInfo, tmp_path: Path) -> Path:
    """The tiny model with names that are no digits, but for one."""
    metadata = dataclasses.replace(info, class_names=NAMES).to_metadata()
    return make_model(tmp_path / "named.onnx", metadata)


@pytest.mark.parametrize(
    ("arguments", "labels", "name"),
    [
        (["--label", "Ankle boot"], [9], "ankle-boot-seed-7.png"),
        (["--label", "ankle BOOT"], [9], "ankle-boot-seed-7.png"),
        (["--label", "T-shirt/top"], [0], "t-shirt-top-seed-7.png"),
        (["--label", "お茶"], [5], "お茶-seed-7.png"),
        (["--label", "+"], [4], "class-seed-7.png"),
        (["--label", "7"], [7], "digit-7-seed-7.png"),
        (["--digit", 7], [7], "digit-7-seed-7.png"),
        (["--digits", "77"], [7, 7], "digits-77-seed-7.png"),
        (["--label", "Trouser", "--label", "7"], [1, 7], "trouser-7-seed-7.png"),
        (
            ["--label", "Trouser", "--label", "Ankle boot", "--label", "Dress"],
            [1, 9, 3],
            "trouser-ankle-boot-d-seed-7.png",
        ),
        (
            ["--label", "Shirt", "--label", "Pullover", "--label", "Dress", "--label", "Shirt"],
            [6, 2, 3, 6],
            "shirt-pullover-dress-seed-7.png",
        ),
        ([], range(10), "t-shirt-top-trouser-seed-7.png"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_classes_by_name(
    draw: Draw,
    folder: Path,
    generator: DigitGenerator,
    named_model: Path,
    arguments: list[object],
    labels: Sequence[int],
    name: str,
) -> None:
    done = draw("--model", named_model, *arguments, "--seed", 7)
    assert done.stdout == f"{name}  seed 7\n"
    images = generator.generate(list(labels), seed=7)
    wanted = np.concatenate(list(images[:, 0]), axis=1)
    assert differ_by_a_grey_level_at_most(pixels(folder / name), wanted)


@pytest.mark.parametrize("classes", [1, 3, 8])
def test_one_of_each_class_of_the_model(
    draw: Draw,
    folder: Path,
    make_model: Callable[..., Path],
    info: ModelInfo,
    tmp_path: Path,
    classes: int,
) -> None:
    golden = dataclasses.replace(
        info.golden, labels=(0,), images=info.golden.images[: HEIGHT * WIDTH]
    )
    few = dataclasses.replace(info, class_names=NAMES[:classes], golden=golden)
    model = make_model(tmp_path / "few.onnx", few.to_metadata())
    draw("--model", model, "--count", 2, "--output", "each.npy")
    draw("--model", model, "--count", 2, "--output", "each.png")
    assert len(np.load(folder / "each.npy")) == 2 * classes
    rows = 1 if classes == 1 else 2
    assert pixels(folder / "each.png").shape == (rows * HEIGHT, max(classes, 2) * WIDTH)


def test_classes_of_two_figures(
    draw: Draw, make_model: Callable[..., Path], info: ModelInfo, tmp_path: Path
) -> None:
    names = tuple(map(str, range(5, 15)))
    metadata = dataclasses.replace(info, class_names=names).to_metadata()
    model = make_model(tmp_path / "numbers.onnx", metadata)
    assert draw("--model", model, "--label", 12, "--seed", 7).stdout == "12-seed-7.png  seed 7\n"
    assert draw("--model", model, "--seed", 7).stdout == "5-6-7-8-9-10-11-12-1-seed-7.png  seed 7\n"


@pytest.mark.parametrize(
    ("arguments", "name", "end"),
    [
        (["--label", "Trouser", "--label", "boots"], "boots", ""),
        (["--label", ""], "", ""),
        (["--digit", "9"], "9", ", with --label"),
        (["--digits", "73"], "3", ", with --label"),
    ],
)
def test_a_class_that_the_model_lacks(
    cgan_run: Command,
    folder: Path,
    named_model: Path,
    arguments: list[str],
    name: str,
    end: str,
) -> None:
    done = cgan_run("--model", named_model, *arguments, PYTHONIOENCODING="utf-8")
    names = ", ".join(map(repr, NAMES))
    wanted = f"error: the model has no class {name!r}; choose from {names}{end}"
    assert the_error(done) == wanted
    assert done.returncode == 1
    assert not list(folder.iterdir())


# The streams and the exit codes of the installed command.


def test_the_installed_command(cgan_run: Command, folder: Path) -> None:
    home = folder / "home"
    home.mkdir()
    done = cgan_run("--digits", "2026", "--seed", 7, HOME=str(home))
    assert done.returncode == 0
    assert done.stdout == b"digits-2026-seed-7.png  seed 7\n"
    assert done.stderr == b""
    assert pixels(folder / "digits-2026-seed-7.png").shape == (HEIGHT, 4 * WIDTH)
    assert names_in(folder) == ["digits-2026-seed-7.png", "home"]
    assert not list(home.iterdir())


def test_version_and_help(cgan_run: Command) -> None:
    done = cgan_run("--version")
    assert done.stdout.decode() == f"cgan-run {__version__}\n"
    assert done.returncode == 0
    done = cgan_run("--help")
    assert b"cgan-run --digits 2026 --seed 7 --output year.png" in done.stdout
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_picture_on_stdout(cgan_run: Command, draw: Draw, folder: Path) -> None:
    done = cgan_run("--digits", "2026", "--seed", 7, "--output", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert not list(folder.iterdir())
    assert pixels(done.stdout).shape == (HEIGHT, 4 * WIDTH)
    draw("--digits", "2026", "--seed", 7, "--output", "file.png")
    assert done.stdout == (folder / "file.png").read_bytes()


def test_a_path_that_the_stream_cannot_spell(cgan_run: Command, folder: Path) -> None:
    path = os.fsdecode(b"\xff\xc3\xbc.png")
    done = cgan_run("--digit", 3, "--seed", 7, "--output", path, LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, b"")
    assert pixels(folder / path).shape == (HEIGHT, WIDTH)


USAGE_ERRORS = [
    (["--digit", "10"], "'--digit': 10 is not in the range 0<=x<=9"),
    (["--digit", "-1"], "'--digit': -1 is not in the range 0<=x<=9"),
    (["--digit", "x"], "'--digit': 'x' is not a valid integer"),
    (["--digit", "1.5"], "'--digit': '1.5' is not a valid integer"),
    (["--digits", "20a6"], "'20a6' is not a string of digits such as 2026"),
    (["--digits", ""], "'' is not a string of digits"),
    (["--digits", "-5"], "'-5' is not a string of digits"),
    (["--digits", "2²"], "'2²' is not a string of digits"),
    (["--digit", "3", "--digits", "4"], "--digit and --digits exclude each other"),
    (["--digits", "4", "--digit", "3"], "--digit and --digits exclude each other"),
    (["--label", "3", "--digit", "4"], "--label and --digit exclude each other; give one"),
    (["--digits", "4", "--label", "3"], "--label and --digits exclude each other; give one"),
    (["--label"], "'--label' requires an argument"),
    (["--count", "0"], "'--count': 0 is not in the range"),
    (["--count", "many"], "'--count': 'many' is not a valid integer"),
    (["--seed", "-1"], "'--seed': -1 is not in the range"),
    (["--seed", str(2**64)], f"'--seed': {2**64} is not in the range"),
    (["--start", "-1"], "'--start': -1 is not in the range"),
    (["--start", str(2**63)], f"'--start': {2**63} is not in the range"),
    (["--threads", "0"], "'--threads': 0 is not in the range"),
    (["--threads", "1025"], "'--threads': 1025 is not in the range"),
    (["--scale", "0"], "'--scale': 0 is not in the range"),
    (["--scale", "65"], "'--scale': 65 is not in the range"),
    (["--shard", "0/4"], "'0/4' is not I/N such as 2/4, with I from 1 to N"),
    (["--shard", "5/4"], "'5/4' is not I/N"),
    (["--shard", "2"], "'2' is not I/N"),
    (["--shard", "1/-1"], "'1/-1' is not I/N"),
    (["--columns", "0"], "'--columns': 0 is not in the range"),
    (["--columns", "2", "--format", "npy"], "--columns goes with png, not with npy; leave it out"),
    (["--scale", "2", "--output", "x.npy"], "--scale goes with png and pngs, not with npy"),
    (["--scale", "1", "--format", "idx"], "--scale goes with png and pngs, not with idx"),
    (["--split", "train"], "--split goes with idx and idx-gz, not with png"),
    (["--split", "test", "--format", "idx"], "'test' is not one of 'train', 't10k'"),
    (["--format", "jpg"], "'jpg' is not one of 'png', 'npy', 'pngs', 'idx', 'idx-gz'"),
    (["--format", "idx", "--output", "-"], "stdout takes png or npy; give --output a folder's"),
    (["--format", "pngs", "--output", "-"], "stdout takes png or npy"),
    (["--output", "digit.jpg"], "'digit.jpg' names no known format; end it in .png or .npy"),
    (["--output", "digit"], "'digit' names no known format"),
    (["--output", ""], "'' names no known format"),
    (["--output"], "'--output' requires an argument"),
    (["--frobnicate"], "No such option"),
    (["9"], "unexpected extra argument"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), USAGE_ERRORS, ids=[" ".join(each) for each, _ in USAGE_ERRORS]
)
def test_wrong_usage(cgan_run: Command, folder: Path, arguments: list[str], message: str) -> None:
    done = cgan_run(*arguments)
    error = the_error(done)
    assert message in error
    assert error.endswith("(see cgan-run --help)")
    assert done.returncode == 2
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", "error: there is no model {path}; check the path, or leave it out"),
        ("directory", "error: cannot read the model {path}: Is a directory; "),
        ("empty", "error: {path} is empty; copy or export it again"),
        ("truncated", "error: {path} is not an ONNX model, is truncated or damaged"),
        ("text", "error: {path} is not an ONNX model, is truncated or damaged"),
        ("foreign", "error: {path} is an ONNX model, but not one that cgan-export wrote"),
        ("newer", "error: {path} follows model contract 2, this cgan-runtime knows 1; upgrade"),
        ("retyped", "error: {path} breaks the model contract: its input is "),
    ],
)
def test_a_bad_model(
    cgan_run: Command, folder: Path, bad_models: Mapping[str, Path], fault: str, message: str
) -> None:
    done = cgan_run("--digit", 3, "--model", bad_models[fault])
    assert the_error(done).startswith(message.format(path=bad_models[fault]))
    assert done.returncode == 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("none/digit.png", "No such file or directory; choose another place"),
        ("file/digit.png", "Not a directory; choose another place"),
        ("folder.png", "is no ordinary file; choose another place"),
        ("folder.npy", "is no ordinary file; choose another place"),
        (f"{'n' * 300}.png", "File name too long; choose another place"),
        ("/proc/digit.png", "; choose another place"),  # where even root may not write
    ],
    ids=["none", "below a file", "folder.png", "folder.npy", "long", "read-only"],
)
def test_a_place_that_cannot_be_written(
    cgan_run: Command, folder: Path, output: str, reason: str
) -> None:
    (folder / "folder.png").mkdir()
    (folder / "folder.npy").mkdir()
    (folder / "file").touch()
    before = sorted(folder.rglob("*"))
    done = cgan_run("--digit", 3, "--output", output)
    error = the_error(done)
    assert output in error
    assert error.endswith(reason)
    assert done.returncode == 1
    assert sorted(folder.rglob("*")) == before


def test_cuda_on_a_cpu_build(cgan_run: Command, folder: Path) -> None:
    done = cgan_run("--digit", 3, "--provider", "cuda")
    assert "pip install 'cgan-runtime[gpu]', or use --provider cpu" in the_error(done)
    assert done.returncode == 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize("provider", ["tpu", "CUDA", ""])
def test_a_provider_that_is_not_offered(cgan_run: Command, folder: Path, provider: str) -> None:
    done = cgan_run("--digit", 3, "--provider", provider)
    assert the_error(done) == f"error: no provider {provider!r} here; choose auto, cpu"
    assert done.returncode == 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize("count", [10**15, 10**30])
def test_a_picture_of_more_than_readers_take(cgan_run: Command, folder: Path, count: int) -> None:
    done = cgan_run("--digit", 3, "--count", count)
    assert the_error(done)
    assert done.returncode in (1, 2)
    assert not list(folder.iterdir())


def test_an_array_that_the_disk_does_not_hold(tiny_model: Path, folder: Path) -> None:
    limit = "import resource as r, os, sys; r.setrlimit(r.RLIMIT_FSIZE, (10**6, 10**6)); "
    done = subprocess.run(
        [sys.executable, "-c", f"{limit}os.execv(sys.argv[1], sys.argv[1:])", SCRIPT,
         "--model", tiny_model, "--digit", "3", "--count", "100000", "--output", "large.npy"],
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=60,
    )  # fmt: skip
    assert the_error(done) == "error: cannot write large.npy: File too large; choose another place"
    assert done.returncode == 1
    assert not list(folder.iterdir())


def test_an_array_on_stdout(cgan_run: Command, draw: Draw, folder: Path) -> None:
    done = cgan_run("--digit", 3, "--count", 3, "--seed", 7, "--format", "npy", "--output", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    draw("--digit", 3, "--count", 3, "--seed", 7, "--output", "same.npy")
    assert done.stdout == (folder / "same.npy").read_bytes()


def test_images_beyond_the_last(cgan_run: Command, folder: Path) -> None:
    done = cgan_run("--digits", "34", "--start", 2**63 - 1)
    assert f"images {2**63 - 1} to {2**63 + 1} are out of range" in the_error(done)
    assert done.returncode == 1
    assert not list(folder.iterdir())


def test_debug_shows_the_traceback(cgan_run: Command, folder: Path) -> None:
    done = cgan_run("--model", "none.onnx", "--debug")
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"Traceback (most recent call last):")
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("cgan_runtime.errors.ModelError: there is no model none.onnx")
    assert not list(folder.iterdir())


def test_a_reader_that_went_away(tiny_model: Path, folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [SCRIPT, "--model", tiny_model, "--digit", "3", "--output", "-"],
            cwd=folder,
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writing)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("output", ["-", "digit.png"])
def test_a_stdout_that_is_full(tiny_model: Path, folder: Path, output: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [SCRIPT, "--model", tiny_model, "--digit", "3", "--output", output],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")


def test_a_stdout_that_is_closed(tiny_model: Path, folder: Path) -> None:
    """As a service may have it."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" --model "$1" --digit 3 --seed 7 >&-', SCRIPT, tiny_model],
        cwd=folder,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert pixels(folder / "digit-3-seed-7.png").shape == (HEIGHT, WIDTH)


def test_an_interrupt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = folder / "model.onnx"
    os.mkfifo(model)  # a file that takes its time
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # else a child may ignore it
    try:
        running = subprocess.Popen(
            [SCRIPT, "--model", model, "--digit", "3"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with model.open("wb"):  # opens when the command does
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert out == b""
    assert err.decode().split("\n")[-2:] == ["error: interrupted", ""]
    assert b"Traceback" not in err
    assert list(folder.iterdir()) == [model]


# On a terminal.


@pytest.fixture
def on_a_terminal(tiny_model: Path, folder: Path) -> Callable[..., tuple[int, str, str]]:
    """Return the exit code, what the terminal showed, and what stderr got."""

    def run(*arguments: object, **extra: str) -> tuple[int, str, str]:
        master, slave = pty.openpty()
        running = subprocess.Popen(
            [SCRIPT, "--model", tiny_model, *map(str, arguments)],
            cwd=folder,
            env=os.environ | {"COLUMNS": "60", "PYTHONIOENCODING": "utf-8"} | extra,
            stdin=slave,
            stdout=slave,
            stderr=subprocess.PIPE,
        )
        os.close(slave)
        shown = bytearray()
        try:
            while part := os.read(master, 65536):
                shown += part
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(master)
        _, error = running.communicate(timeout=60)
        return running.returncode, shown.decode().replace("\r\n", "\n"), error.decode()

    return run


def test_a_terminal_shows_the_digits(
    on_a_terminal: Callable[..., tuple[int, str, str]], folder: Path
) -> None:
    code, shown, error = on_a_terminal("--digits", "2026", "--seed", 7)
    assert (code, error) == (0, "")
    *picture, last = shown.splitlines()
    assert last == "digits-2026-seed-7.png  seed 7"
    assert set(BLOCKS) & set("".join(picture))
    assert set("".join(picture)) <= set(BLOCKS + " ")
    assert all(len(line) <= 4 * WIDTH for line in picture)
    assert len([line for line in picture if line]) <= HEIGHT // 2
    assert names_in(folder) == ["digits-2026-seed-7.png"]


def test_a_terminal_without_blocks_shows_other_signs(
    on_a_terminal: Callable[..., tuple[int, str, str]],
) -> None:
    code, shown, error = on_a_terminal("--digit", 2, "--seed", 7, PYTHONIOENCODING="ascii")
    assert (code, error) == (0, "")
    *picture, last = shown.splitlines()
    assert last == "digit-2-seed-7.png  seed 7"
    assert {":"} <= set("".join(picture)) <= set(" '.:")


@pytest.mark.parametrize(("columns", "widest"), [("60", 54), ("20", 18), ("9", 9), ("3", 9)])
def test_a_terminal_gets_rows_as_wide_as_it_is(
    on_a_terminal: Callable[..., tuple[int, str, str]], columns: str, widest: int
) -> None:
    code, shown, _ = on_a_terminal("--seed", 7, COLUMNS=columns)
    assert code == 0
    width = max(len(line) for line in shown.splitlines()[:-1])
    assert widest - WIDTH < width <= widest


def test_a_terminal_shows_the_first_of_many(
    on_a_terminal: Callable[..., tuple[int, str, str]],
) -> None:
    code, shown, _ = on_a_terminal("--digit", 3, "--count", 30, "--seed", 7)
    assert code == 0
    assert shown.splitlines()[-2:] == ["(the first 20 of 30)", "digit-3-seed-7.png  seed 7"]


def test_a_terminal_gets_no_png(
    on_a_terminal: Callable[..., tuple[int, str, str]], folder: Path
) -> None:
    code, shown, error = on_a_terminal("--digit", 3, "--output", "-")
    assert (code, shown) == (2, "")
    assert error.startswith("error: a terminal shows no PNG")
    assert error.count("\n") == 1
    assert not list(folder.iterdir())


def test_a_terminal_shows_nothing_where_it_shall_not(
    on_a_terminal: Callable[..., tuple[int, str, str]],
) -> None:
    shown = on_a_terminal("--digit", 3, "--seed", 7, "--no-preview")
    assert shown == (0, "digit-3-seed-7.png  seed 7\n", "")


def test_a_pipe_gets_no_picture(cgan_run: Command) -> None:
    done = cgan_run("--digit", 3, "--seed", 7)
    assert done.stdout == b"digit-3-seed-7.png  seed 7\n"
