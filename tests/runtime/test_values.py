"""Values of every kind for every option and argument: the documented error, or a right answer.

CGAN_EXAMPLES=100 tries a hundred times as many, and other ones each time.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from trying import LETTERS, Call, Done, examples

from cgan_runtime import CganError, ImageGenerator, InputError, ModelError
from cgan_runtime.bulk import local_engine
from cgan_runtime.bulk.shards import Worker
from cgan_runtime.diagnostics import device_check as checking
from cgan_runtime.diagnostics.speed import Speed
from cgan_runtime.images.layout import grid
from cgan_runtime.noise import standard_normal

HEIGHT, WIDTH, CLASSES = 12, 9, 10  # of the tiny model
SAID = re.compile(rb"error: [^\n]+\n")
Words = list[str]


def harmless(text: str) -> bool:
    """Whether a text is no number that takes gigabytes, or a thousand threads."""
    try:
        return not 40 < int(text) < 2**62
    except ValueError:
        return text != "--debug"


ODD = st.sampled_from(
    [
        *("", " ", "-", "--", "-1", "0", "1", " 1", "+1", "1.5", "1e3", "nan", "inf", "-0", "0x10"),
        *("1_0", "٣", "²", "9" * 30, str(2**63 - 1), str(2**63), str(2**64 - 1), str(2**64)),
        *("\n", "\udcff", "None", "true", "auto", "cpu", "a,b", "%s", "{}", "$x$", "\x1b[31m"),
        *("1/2", "2/1", "0/0"),
    ]
)
# Hypothesis tries texts of our sources too: the word for tracebacks is not for a value.
WORDS = ODD | st.text(LETTERS, max_size=9).filter(harmless)
SMALL = st.integers(0, 5).map(str)
PATHS = st.sampled_from(
    [
        *("a.png", "a.npy", "a.PNG", "folder", "folder/b.npy", "none/a.png", "file", "file/a.png"),
        *(".", "..", "", "/", "/dev/null", "/proc/a.png", "~/a.png", f"{'n' * 300}.png"),
        *("a\n.png", "\udcff.npy", "new", "-", "--", "-a.npy"),
    ]
)


def command_lines(options: Mapping[str, st.SearchStrategy[str]], most: int) -> Any:
    """Return lines of some of the options, each with a value."""
    pairs = [st.tuples(st.just(name), values) for name, values in options.items()]
    return st.lists(st.one_of(pairs), max_size=most).map(
        lambda chosen: [word for pair in chosen for word in pair]
    )


@pytest.fixture
def place(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands work: a file and a folder lie there."""
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "outer"))
    return folder


def cleared(place: Path) -> dict[str, bytes]:
    """Let the place be as at first; return what lies there."""
    for path in place.parent.iterdir():
        if path != place:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in place.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (place / "folder").mkdir()
    (place / "folder" / "old").write_text("old")
    (place / "file").write_text("old")
    return files(place)


def files(place: Path) -> dict[str, bytes]:
    """Return what lies in the place, and beside it."""
    found = sorted(place.parent.rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in found}


def require_plain(done: Done, before: dict[str, bytes], place: Path) -> bool:
    """Check a failure; return whether the command did what it was asked for."""
    if done.returncode == 0:
        assert done.stderr == b""
        return True
    assert done.returncode in (1, 2), done.stderr
    assert done.stdout == b""
    assert SAID.fullmatch(done.stderr), done.stderr
    assert files(place) == before
    return False


def parsed(module: str, words: Words) -> dict[str, Any]:
    return dict(import_module(module).command.make_context("it", [*words]).params)


def wanted(
    asked: dict[str, Any], seed: int, generator: ImageGenerator
) -> tuple[Any, list[int], int]:
    """Return the images that a line of cgan-run asks for, its labels, and the first index."""
    names = asked["label"] or tuple(map(str, asked["digit"] or asked["digits"] or range(CLASSES)))
    labels = [generator.info.class_names.index(name) for name in names]
    which, shards = asked["shard"]
    total = len(labels) * asked["count"]
    first, end = total * (which - 1) // shards, total * which // shards
    drawn = [labels[number % len(labels)] for number in range(first, end)]
    start = asked["start"] + first
    return generator.generate(drawn, seed=seed, start=start), labels, start


def decoded(path: Path, kind: str) -> Any:
    if kind == "npy":
        return np.load(path)
    if kind == "png":
        with Image.open(path) as picture:
            return np.asarray(picture)
    if kind == "pngs":
        pages = sorted(path.glob("*.png"), key=lambda each: int(each.stem.rpartition("-")[2]))
        return np.stack([decoded(page, "png")[None] for page in pages])
    (images,) = (path / "MNIST" / "raw").glob("train-images*")
    return np.frombuffer(images.read_bytes(), np.uint8, offset=16).reshape(-1, 1, HEIGHT, WIDTH)


RUN = {
    "--digit": SMALL | WORDS,
    "--digits": st.text("0123456789", min_size=1, max_size=5) | WORDS,
    "--label": SMALL | WORDS,
    "--count": SMALL | WORDS,
    "--seed": st.integers(-1, 2**64).map(str) | WORDS,
    "--start": st.integers(-1, 2**63).map(str) | WORDS,
    "--shard": st.sampled_from(["1/1", "1/2", "2/2", "3/4"]) | WORDS,
    "--expect-sha256": WORDS | st.sampled_from(["0" * 64, "g" * 64, "A" * 63]),
    "--provider": st.sampled_from(["cpu", "auto", "cuda", "azure"]) | WORDS,
    "--threads": st.sampled_from(["1", "2", "1025", "-1"]) | ODD.filter(harmless),
    "--output": PATHS | WORDS,
    "--format": st.sampled_from(["png", "npy", "pngs", "idx", "idx-gz"]) | WORDS,
    "--columns": SMALL | st.sampled_from([str(2**31 - 1), str(2**31)]) | WORDS,
    "--scale": SMALL | WORDS,
    "--split": st.just("train") | WORDS,
}


@examples(300)
@given(words=command_lines(RUN, 4), kind=st.sampled_from([None, "npy", "png", "pngs", "idx"]))
def test_every_option_of_cgan_run(
    call: Call, place: Path, tiny_model: Path, generator: ImageGenerator, words: Words, kind: str
) -> None:
    if kind is not None and "--format" not in words:
        words = [*words, "--format", kind]
    before = cleared(place)
    done = call("cgan-run", "--model", str(tiny_model), *words)
    if not require_plain(done, before, place):
        return
    asked = parsed("cgan_runtime.cli.run", words)
    if asked["output"] == "-":
        (place / "stdout").write_bytes(done.stdout)
        path, seed = place / "stdout", asked["seed"]
        if seed is None:
            return
    else:
        name, said = done.stdout.removesuffix(b"\n").rsplit(b"  seed ", 1)
        path, seed = place / os.fsdecode(name), int(said)
    form = asked["kind"] or ("npy" if path.suffix.lower() == ".npy" else "png")
    if form == "idx-gz":
        return
    images, labels, _ = wanted(asked, seed, generator)
    if form == "png":
        chosen = len(labels) if len(labels) > 1 else int(np.ceil(len(images) ** 0.5))
        images = grid(images, asked["columns"] or chosen, asked["scale"] or 1)
    elif form == "pngs":
        images = images.repeat(asked["scale"] or 1, 2).repeat(asked["scale"] or 1, 3)
    drawn = decoded(path, form)
    assert drawn.shape == images.shape
    assert np.abs(drawn.astype(int) - images).max() <= 1  # a float model, in another batch


@examples(100)
@given(model=PATHS | WORDS, words=command_lines({"--expect-sha256": RUN["--expect-sha256"]}, 1))
def test_every_model_that_is_none(call: Call, place: Path, model: str, words: Words) -> None:
    before = cleared(place)
    for name in ("cgan-run", "cgan-check"):
        assert not require_plain(call(name, "--model", model, *words), before, place)


@pytest.fixture
def quick_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "measure_speed", lambda _: Speed(1.0, 1.0))


CHECK = {key: RUN[key] for key in ("--provider", "--threads", "--expect-sha256")}


@examples(40)
@given(words=command_lines(CHECK, 3), as_json=st.booleans())
def test_every_option_of_cgan_check(
    call: Call, place: Path, quick_check: None, tiny_model: Path, words: Words, as_json: bool
) -> None:
    before = cleared(place)
    done = call("cgan-check", "--model", str(tiny_model), *words, *["--json"] * as_json)
    require_plain(done, before, place)
    assert files(place) == before


@pytest.fixture
def bulk_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be the worker."""

    def drawn(
        folder: Path, job: Any, numbers: Any, _: int, provider: str, __: Any
    ) -> Iterator[int]:
        worker = Worker(folder, job, provider)
        for number in numbers:
            worker.draw(number)
            yield number

    monkeypatch.setattr(local_engine, "drawn", drawn)


BULK = {
    key: RUN[key] for key in ("--digit", "--digits", "--label", "--count", "--seed", "--start")
} | {
    "--provider": RUN["--provider"],
    "--format": st.sampled_from(["parquet", "idx"]) | WORDS,
    "--shard-images": SMALL | WORDS,
    "--engine": st.just("local") | WORDS,
    "--workers": SMALL | ODD.filter(harmless),
    "--output": PATHS,
}


@examples(100)
@given(words=command_lines(BULK, 3))
def test_every_option_of_cgan_bulk(
    call: Call,
    place: Path,
    bulk_here: None,
    tiny_model: Path,
    generator: ImageGenerator,
    words: Words,
) -> None:
    before = cleared(place)
    words = ["--count", "3", "--output", "new", *words]
    done = call("cgan-bulk", "--model", str(tiny_model), *words)
    if not require_plain(done, before, place):
        return
    asked = parsed("cgan_runtime.cli.bulk", words)
    found = re.search(rb"  seed ([0-9]+)  ", done.stdout)
    assert found is not None
    names = asked["label"] or tuple(map(str, asked["digit"] or asked["digits"] or range(CLASSES)))
    labels = [int(names[number % len(names)]) for number in range(asked["count"])]
    images = generator.generate(labels, seed=int(found[1]), start=asked["start"])
    shards = place / asked["output"] / "shards"
    if asked["format"] == "parquet":
        rows = [row for path in sorted(shards.iterdir()) for row in table(path)]
        assert [row["label"] for row in rows] == labels
        drawn = np.frombuffer(b"".join(row["image"] for row in rows), np.uint8)
    else:
        paths = sorted(shards.glob("*images*"))
        drawn = np.frombuffer(b"".join(path.read_bytes()[16:] for path in paths), np.uint8)
    assert np.abs(drawn.reshape(images.shape).astype(int) - images).max(initial=0) <= 1


def table(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        rows: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
    return rows


# The API.

NUMBERS = (
    st.integers(-2, 12)
    | st.sampled_from([2**31, 2**32, 2**63 - 2, 2**63, 2**64 - 1, 2**64, 10**30, -(2**70)])
    | st.floats()
    | st.sampled_from(
        [True, None, "1", b"1", np.int64(3), np.uint8(3), np.float32(1), np.array(2), []]
    )
)
LABELS = (
    NUMBERS
    | st.lists(st.integers(-1, 11) | st.just(2**63) | st.just(10**30), max_size=5)
    | st.lists(st.integers(0, 9), max_size=5)
    | st.lists(st.sampled_from("0123456789xX") | st.text(max_size=2), max_size=3)
    | st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=3)
    | st.text(max_size=3)
    | st.lists(st.integers(0, 9), max_size=4).map(tuple)
    | st.sampled_from(
        [{1}, {1: 2}, range(3), np.arange(3, dtype=np.uint8), np.ones((2, 2), int), object()]
    )
    | st.sampled_from(
        [np.array(["3"]), np.array([1.0]), np.array([], str), np.array(7), [1, "2"], [None]]
    )
)


def meant(labels: Any) -> list[int]:
    """Return the labels that were accepted, as numbers."""
    return [
        int(each) for each in ([labels] if isinstance(labels, str) else np.ravel(labels).tolist())
    ]


@examples(300)
@given(labels=LABELS, seed=NUMBERS, start=st.just(0) | NUMBERS)
def test_every_argument_of_generate(
    generator: ImageGenerator, labels: Any, seed: Any, start: Any
) -> None:
    try:
        images = generator.generate(labels, seed=seed, start=start)
    except InputError:
        return
    wanted = meant(labels)
    assert images.dtype == np.uint8
    assert images.shape == (len(wanted), 1, HEIGHT, WIDTH)
    for index in {0, len(wanted) - 1} if wanted else ():
        alone = generator.generate([wanted[index]], seed=int(seed), start=int(start) + index)
        assert np.abs(alone[0].astype(int) - images[index]).max() <= 1


@examples(250)
@given(labels=LABELS, seed=NUMBERS, count=NUMBERS, start=st.just(0) | NUMBERS, size=NUMBERS)
def test_every_argument_of_stream(
    generator: ImageGenerator, labels: Any, seed: Any, count: Any, start: Any, size: Any
) -> None:
    try:
        stream = generator.stream(labels, seed=seed, count=count, start=start, batch_size=size)
    except InputError:
        return
    wanted = meant(labels)
    if int(count) > 100 and int(size) > 100:
        return  # it would be drawn: gigabytes
    for batch in (next(stream),) if int(count) else stream:
        assert len(batch.labels) == min(int(count), int(size))
        assert batch.labels.tolist() == [wanted[n % len(wanted)] for n in range(len(batch.labels))]
        right = generator.generate(batch.labels, seed=int(seed), start=int(start))
        assert np.array_equal(batch.images, right)


@examples(250)
@given(seed=NUMBERS, start=NUMBERS, count=NUMBERS, noise_dim=NUMBERS)
def test_every_argument_of_standard_normal(
    seed: Any, start: Any, count: Any, noise_dim: Any
) -> None:
    if any(isinstance(each, int) and 100 < each < 2**60 for each in (count, noise_dim)):
        return  # gigabytes
    try:
        noise = standard_normal(seed, start, count, noise_dim)
    except (InputError, MemoryError):
        return
    assert noise.dtype == np.float32
    assert noise.shape == (int(count), int(noise_dim))
    assert np.array_equal(noise * 32, np.round(noise * 32))
    assert np.abs(noise).max(initial=0) <= 127 / 32


@examples(150)
@given(
    model=st.none() | PATHS | st.text(max_size=5) | st.just("\0"),
    provider=st.sampled_from(["cpu", "auto", "CPU", "cuda", "", "azure"]) | st.text(max_size=5),
    threads=st.none() | NUMBERS.filter(lambda n: not isinstance(n, int) or not 4 < n <= 1024),
    expected=st.none() | st.sampled_from(["", "0" * 64, 5, b"0"]),
    sound=st.booleans(),
)
def test_every_argument_of_a_generator(
    place: Path,
    tiny_model: Path,
    generator: ImageGenerator,
    model: str | None,
    provider: str,
    threads: Any,
    expected: Any,
    sound: bool,
) -> None:
    cleared(place)
    try:
        made = ImageGenerator(
            tiny_model if sound else model, provider, threads, expect_sha256=expected
        )
    except CganError:
        return
    assert made.provider == "cpu"
    assert expected is None
    if sound:
        assert np.array_equal(made.generate(3, seed=1), generator.generate(3, seed=1))
    with made:
        pass
    with pytest.raises(InputError, match="is closed"):
        made.generate([3, 4], seed=1)


@pytest.mark.parametrize("model", ["none", "\0", "", "/", "\udcff", "n" * 5000])
def test_check_of_models_that_are_none(model: str) -> None:
    with pytest.raises(ModelError):
        checking.check(Path(model))
