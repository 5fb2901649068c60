"""Random values for all arguments of the API and the commands: an error, or a valid result.

CGAN_EXAMPLES=100 tries 100 times as many values, which differ in each run.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command
from hypothesis import example, given
from hypothesis import strategies as st
from property_testing import WORD_CHARACTERS, examples

from cgan_runtime import CganError, ImageGenerator, InputError
from cgan_runtime.diagnostics import device_check
from cgan_runtime.diagnostics.speed import Speed
from cgan_runtime.noise import standard_normal

SHAPE = (1, 12, 9)  # of the tiny model
LARGE = [2**31, 2**32, 2**63 - 2, 2**63, 2**64 - 1, 2**64, 10**30, -(2**70)]
OTHER: list[Any] = [True, None, "1", b"1", np.int64(3), np.uint8(3), np.float32(1), np.array(2), []]
NUMBERS = st.integers(-2, 12) | st.sampled_from(LARGE) | st.floats() | st.sampled_from(OTHER)
SMALL = NUMBERS.filter(lambda value: not isinstance(value, int) or not 100 < value < 2**60)
LABELS = (
    NUMBERS
    | st.lists(st.integers(-1, 11) | st.sampled_from([2**63, 10**30]), max_size=5)
    | st.lists(st.sampled_from("0123456789xX") | st.text(max_size=2), max_size=3)
    | st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=3)
    | st.text(max_size=3)
    | st.lists(st.integers(0, 9), max_size=4).map(tuple)
    | st.sampled_from([{1}, {1: 2}, range(3), np.arange(3, dtype=np.uint8), object(), [1, "2"]])
    | st.sampled_from([np.array(["3"]), np.array([1.0]), np.array([], str), np.ones((2, 2), int)])
)


VALID_LABELS = [3, 9]


def size(labels: Any) -> int:
    return 1 if isinstance(labels, str) else np.size(labels)


@examples(200)
@example(labels=VALID_LABELS, seed=7, start=0)
@given(labels=LABELS, seed=NUMBERS, start=st.just(0) | NUMBERS)
def test_generate_returns_images_or_raises_input_error(
    generator: ImageGenerator, labels: Any, seed: Any, start: Any
) -> None:
    try:
        images = generator.generate(labels, seed=seed, start=start)
    except InputError:
        assert labels is not VALID_LABELS
        return
    assert images.dtype == np.uint8
    assert images.shape == (size(labels), *SHAPE)


@examples(150)
@example(labels=VALID_LABELS, seed=7, count=3, start=0, batch_size=2)
@given(labels=LABELS, seed=NUMBERS, count=NUMBERS, start=st.just(0) | NUMBERS, batch_size=SMALL)
def test_stream_yields_batches_or_raises_input_error(
    generator: ImageGenerator, labels: Any, seed: Any, count: Any, start: Any, batch_size: Any
) -> None:
    try:
        stream = generator.stream(
            labels, seed=seed, count=count, start=start, batch_size=batch_size
        )
    except InputError:
        assert labels is not VALID_LABELS
        return
    for batch in [next(stream)] if int(count) else stream:
        images = min(int(count) * size(labels), int(batch_size))
        assert batch.images.shape == (images, *SHAPE)
        assert batch.images.dtype == np.uint8
        assert batch.labels.shape == (images,)
        assert batch.start == int(start)


@examples(150)
@example(seed=7, start=0, count=2, noise_dim=3)
@given(seed=NUMBERS, start=NUMBERS, count=SMALL, noise_dim=SMALL)
def test_standard_normal_returns_noise_or_raises_input_error(
    seed: Any, start: Any, count: Any, noise_dim: Any
) -> None:
    try:
        noise = standard_normal(seed, start, count, noise_dim)
    except (InputError, MemoryError):
        assert (seed, start, count, noise_dim) != (7, 0, 2, 3)
        return
    assert noise.dtype == np.float32
    assert noise.shape == (int(count), int(noise_dim))


@examples(100)
@example(model=None, provider="cpu", threads=1, expect_sha256=None, use_tiny_model=True)
@given(
    model=st.none() | st.sampled_from(["none", "\0", "", "/", "\udcff", "/dev/null"]) | st.text(),
    provider=st.sampled_from(["cpu", "auto", "CPU", "cuda", "", "azure"]) | st.text(max_size=5),
    threads=st.none() | NUMBERS,
    expect_sha256=st.none() | st.sampled_from(["", "0" * 64, 5, b"0"]),
    use_tiny_model=st.booleans(),
)
def test_constructor_opens_a_model_or_raises_cgan_error(
    tiny_model: Path,
    model: str | None,
    provider: str,
    threads: Any,
    expect_sha256: Any,
    use_tiny_model: bool,
) -> None:
    path = tiny_model if use_tiny_model else model
    try:
        generator = ImageGenerator(path, provider, threads, expect_sha256=expect_sha256)
    except CganError:
        assert (path, provider, threads, expect_sha256) != (tiny_model, "cpu", 1, None)
        return
    with generator:
        assert generator.generate(3, seed=1).dtype == np.uint8


def is_harmless(text: str) -> bool:
    """Return whether a text is neither a count that takes gigabytes nor the flag for tracebacks."""
    try:
        return not 40 < int(text) < 2**62
    except ValueError:
        return text != "--debug"


ODD_TEXTS = [
    "",
    " ",
    "-",
    "--",
    "-1",
    " 1",
    "1.5",
    "1e3",
    "nan",
    "0x10",
    "1_0",
    "٣",
    "9" * 30,
    "\n",
]
ODD_TEXTS += ["\udcff", "\x1b[31m", "a,b", "%s", "{}", "0/0", "2/1", str(2**63), str(2**64)]
PATHS = ["a.png", "b.npy", "new", "none/a.png", ".", "/proc/a.png", "n" * 300, "a\n.png"]
COMMON = {
    "--provider": ["cpu", "auto", "cuda"],
    "--threads": ["2", "1025"],
    "--expect-sha256": ["0" * 64, "A" * 63],
}
VALUES = {
    "cgan-check": COMMON | {"--model": ["none", ".", ""], "--json": ["--json"]},
    "cgan-run": COMMON
    | {"--digit": ["0", "9"], "--digits": ["2026"], "--label": ["3", "x"], "--count": ["1", "12"]}
    | {"--seed": ["0", str(2**64 - 1)], "--start": [str(2**63 - 1)], "--output": PATHS}
    | {"--shard": ["1/2", "2/2", "3/4"], "--columns": ["3"], "--scale": ["2"], "--split": ["train"]}
    | {"--format": ["png", "npy", "pngs", "idx", "idx-gz"], "--same-noise": ["--same-noise"]}
    | {"--walk": ["7:8"], "--frames": ["2"], "--noise": PATHS, "--truncation": ["0.5"]},
}
WORDS = st.sampled_from(ODD_TEXTS) | st.text(WORD_CHARACTERS, max_size=9).filter(is_harmless)


def command_lines(name: str) -> st.SearchStrategy[tuple[str, list[str]]]:
    """Return lines of plausible options, some with odd values, or of arbitrary words."""
    options = VALUES[name]
    plausible = st.sampled_from([(each, value) for each in options for value in options[each]])
    pairs = plausible | st.tuples(st.sampled_from([*options]), WORDS)
    lines = (
        st.lists(plausible, max_size=3) | st.lists(pairs, max_size=3) | st.tuples(st.lists(WORDS))
    )
    return lines.map(lambda parts: (name, [word for part in parts for word in part]))


@examples(300)
@given(line=command_lines("cgan-run") | command_lines("cgan-check"))
def test_commands_work_or_give_one_error_line(
    call: Command,
    tmp_path: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: tuple[str, list[str]],
) -> None:
    monkeypatch.setattr(device_check, "measure_speed", lambda _: Speed(1.0, 1.0))
    name, words = line
    done = call(name, "--model", tiny_model, *words)
    assert done.returncode in (0, 1, 2)
    if done.returncode:
        message, end = done.stderr.decode().split("\n")
        assert message.startswith("error: ")
        assert "; " in message or "? (see " in message
        assert not end
    else:
        assert done.stderr == b""
    assert not list(tmp_path.rglob(".*.part"))
