"""cgan-run with the same noise for all classes, walks, noise of the user, and truncation."""

from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import HEIGHT, WIDTH, error_line, is_close, names_in, read_png
from commands import Command
from numpy.typing import NDArray
from PIL import Image

from cgan_runtime.generator import ImageGenerator
from cgan_runtime.images.layout import grid
from cgan_runtime.model_file.reading import SHIPPED_MODEL
from cgan_runtime.noise import round_noise

NOISE_DIM = 6  # of the tiny model
ZEROS = np.zeros((20, NOISE_DIM), np.float32)
SHIPPED = ("--model", SHIPPED_MODEL)
Array = NDArray[Any]


def save(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


def frames_of(path: Path | bytes, mode: str) -> Array:
    """Return the frames that another program shows, [frames, height, width, channels]."""
    with Image.open(BytesIO(path) if isinstance(path, bytes) else path) as picture:
        assert (picture.format, picture.mode) == ("PNG", mode)
        assert picture.info["loop"] == 0  # forever
        frames = []
        for number in range(getattr(picture, "n_frames", 0)):
            picture.seek(number)
            is_end = number in (0, getattr(picture, "n_frames", 0) - 1)
            assert picture.info["duration"] == (600 if is_end else 60)
            frames.append(np.asarray(picture.convert(mode)).reshape(*picture.size[::-1], -1))
    return np.array(frames)


@pytest.mark.parametrize(
    ("words", "labels"),
    [([], range(10)), (["--digits", "2026"], [2, 0, 2, 6]), (["--digit", 3], [3])],
)
def test_a_row_of_all_classes_has_one_noise_vector(
    run: Command, folder: Path, generator: ImageGenerator, words: list[object], labels: list[int]
) -> None:
    line = (*words, "--same-noise", "--count", 3, "--seed", 7, "--start", 5)
    run(*line, "--output", "a.npy")
    run(*line, "--output", "a.png", "--columns", len(labels))
    rows = [generator.generate(labels, noise=generator.noise(7, 5 + row)) for row in range(3)]
    assert is_close(np.load(folder / "a.npy"), np.concatenate(rows))
    assert is_close(read_png(folder / "a.png"), grid(np.concatenate(rows), len(labels))[..., 0])


def test_rows_of_the_same_noise_are_written_in_every_format_and_in_shards(
    run: Command, folder: Path
) -> None:
    line = ("--digits", "381", "--same-noise", "--count", 4, "--seed", 7, "--start", 2)
    run(*line, "--output", "all.npy")
    whole = np.load(folder / "all.npy")
    for number in range(1, 6):
        shard = (*line, "--shard", f"{number}/5")
        run(*shard, "--output", f"{number}.npy")
        run(*shard, "--format", "pngs", "--output", "pngs")
    parts = [np.load(folder / f"{number}.npy") for number in range(1, 6)]
    assert is_close(np.concatenate(parts), whole)
    names = [f"{'381'[index % 3]}-{index:06}.png" for index in range(6, 18)]
    assert names_in(folder / "pngs") == sorted(names)
    for image, name in zip(whole, names, strict=True):
        assert is_close(read_png(folder / "pngs" / name), image[0])
    run(*line, "--format", "idx", "--output", "set")
    content = (folder / "set/MNIST/raw/train-images-idx3-ubyte").read_bytes()
    assert is_close(np.frombuffer(content, np.uint8, offset=16).reshape(whole.shape), whole)


@pytest.mark.parametrize(
    ("words", "labels", "columns"),
    [
        (["--digits", "2026"], [2, 0, 2, 6], None),
        (["--digits", "2026"], [2, 0, 2, 6], 3),
        (["--digit", 3], [3], None),
        (["--label", "8", "--label", "1"], [8, 1], None),
        ([], list(range(10)), None),
    ],
)
def test_a_walk_is_an_animation_whose_frames_equal_interpolate(
    run: Command,
    folder: Path,
    generator: ImageGenerator,
    words: list[object],
    labels: list[int],
    columns: int | None,
) -> None:
    columns_option = ("--columns", columns) if columns else ()
    walk_options = ("--walk", "7:8", "--frames", 5)
    line = (*words, *columns_option, *walk_options, "--scale", 2)
    done = run(*line, "--output", "walk.png")
    assert (done.stdout, done.stderr) == (b"walk.png  walk 7:8\n", b"")
    walk = generator.interpolate(labels, 7, 8, 5)
    expected = np.array([grid(frame, columns or len(labels), 2) for frame in walk])
    assert is_close(frames_of(folder / "walk.png", "L"), expected)
    assert run(*line, "--output", "-").stdout == (folder / "walk.png").read_bytes()
    run(*words, *walk_options, "--output", "walk.npy")
    assert is_close(np.load(folder / "walk.npy"), walk)


@pytest.mark.parametrize(
    ("words", "labels", "layout", "columns"),
    [
        (["--digits", "20", "--count", 3], [2, 0] * 3, [], 2),
        (["--digits", "20", "--count", 3], [2, 0] * 3, ["--columns", 5], 5),
        (["--digit", 3, "--count", 5], [3] * 5, [], 3),
        (["--count", 2], [*range(10)] * 2, [], 10),
    ],
)
def test_a_walk_of_several_images_of_each_class_has_rows(
    run: Command,
    folder: Path,
    generator: ImageGenerator,
    words: list[object],
    labels: list[int],
    layout: list[object],
    columns: int,
) -> None:
    line = (*words, "--walk", "7:8", "--frames", 3)
    run(*line, *layout, "--output", "walk.png")
    run(*line, "--output", "walk.npy")
    walk = generator.interpolate(labels, 7, 8, 3)
    assert is_close(np.load(folder / "walk.npy"), walk)
    expected = np.array([grid(frame, columns) for frame in walk])
    assert is_close(frames_of(folder / "walk.png", "L"), expected)
    for seed, frame in ((7, 0), (8, -1)):
        run(*words, *layout, "--seed", seed, "--output", "seed.png")
        assert is_close(read_png(folder / "seed.png"), expected[frame, ..., 0])


def test_a_walk_shows_one_picture_where_animations_are_unknown(
    run: Command, folder: Path, generator: ImageGenerator
) -> None:
    """Such a program skips the chunks whose names begin with a lowercase letter."""
    run("--digits", "38", "--walk", "7:8", "--frames", 3, "--output", "walk.png")
    content = (folder / "walk.png").read_bytes()
    kept, place = content[:8], 8
    while place < len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        if content[place + 4 : place + 5].isupper():
            kept += content[place:end]
        place = end
    assert is_close(read_png(kept), grid(generator.generate([3, 8], seed=7), 2)[..., 0])


def test_a_walk_in_color(run: Command, folder: Path, color_model: Path) -> None:
    generator = ImageGenerator(color_model, "cpu", threads=1)
    line = ("--model", color_model, "--digits", "38", "--walk", "7:8", "--frames", 3)
    run(*line, "--output", "walk.png")
    walk = generator.interpolate([3, 8], 7, 8, 3)
    frames = frames_of(folder / "walk.png", "RGB")
    assert is_close(frames, np.array([grid(frame, 2) for frame in walk]))


def test_all_classes_of_a_walk_may_share_their_noise(
    run: Command, folder: Path, generator: ImageGenerator
) -> None:
    line = ("--digits", "381", "--same-noise", "--walk", "7:8", "--frames", 4)
    run(*line, "--output", "walk.npy")
    alone = [generator.interpolate(label, 7, 8, 4) for label in (3, 8, 1)]
    assert is_close(np.load(folder / "walk.npy"), np.concatenate(alone, axis=1))
    run(*line, "--count", 2, "--output", "rows.npy")
    rows = [generator.interpolate([label] * 2, 7, 8, 4) for label in (3, 8, 1)]
    assert is_close(
        np.load(folder / "rows.npy"), np.stack(rows, axis=2).reshape(4, 6, *rows[0].shape[2:])
    )


@pytest.mark.parametrize("words", [["--seed", 7], ["--walk", "7:8", "--frames", 3], ["--noise"]])
@pytest.mark.parametrize("factor", [0, 1.7])
def test_truncated_noise_of_an_exact_file_stays_on_the_grid(
    run: Command, folder: Path, words: list[object], factor: float
) -> None:
    generator = ImageGenerator(provider="cpu", threads=1)
    noise = generator.noise(7, 0, 2)
    if words == ["--noise"]:
        words = ["--noise", save(folder / "n.npy", noise)]
    truncation = ("--truncation", factor, "--output", "a.npy")
    run(*SHIPPED, "--digits", "38", *words, *truncation)
    images = np.load(folder / "a.npy").reshape(-1, 1, 28, 28)
    scaled = round_noise(noise * np.float32(factor))
    np.testing.assert_array_equal(images[:2], generator.generate([3, 8], noise=scaled))


def test_truncated_noise_of_another_file_is_only_scaled(
    run: Command, folder: Path, generator: ImageGenerator
) -> None:
    run("--digits", "38", "--seed", 7, "--truncation", 0.3, "--output", "a.npy")
    noise = generator.noise(7, 0, 2) * np.float32(0.3)
    assert is_close(np.load(folder / "a.npy"), generator.generate([3, 8], noise=noise))


@pytest.mark.parametrize(
    ("words", "name", "text"),
    [
        (["--walk", "7:8"], "digits-38-walk-7-8.png", {"cgan:walk": "7:8"}),
        (
            ["--seed", 7, "--same-noise"],
            "digits-38-same-noise-seed-7.png",
            {"cgan:seed": "7", "cgan:same-noise": "2"},
        ),
        (
            ["--seed", 7, "--truncation", ".50"],
            "digits-38-seed-7-truncation-0.5.png",
            {"cgan:seed": "7", "cgan:truncation": "0.5"},
        ),
        (
            ["--noise", "{noise}"],
            "digits-38-noise-my-noise.png",
            {"cgan:noise": sha256(bytes(48)).hexdigest()},
        ),
    ],
)
def test_the_name_and_the_metadata_of_a_picture_state_its_noise(
    run: Command, folder: Path, tmp_path: Path, words: list[str], name: str, text: dict[str, str]
) -> None:
    noise = save(tmp_path / "my noise.npy", ZEROS[:2])
    run("--digits", "38", *(str(word).format(noise=noise) for word in words))
    assert names_in(folder) == [name]
    with Image.open(folder / name) as picture:
        stated = {key: value for key, value in picture.info.items() if key in text}
    assert stated == text


CONTRADICTIONS = [
    ("--noise n.npy --seed 7", "--noise cannot be combined with --seed; leave one out"),
    ("--noise n.npy --start 0", "--noise cannot be combined with --start; "),
    ("--noise n.npy --count 1", "--noise cannot be combined with --count; "),
    ("--noise n.npy --walk 7:8", "--noise cannot be combined with --walk; "),
    ("--walk 7:8 --seed 7", "--walk cannot be combined with --seed; "),
    ("--walk 7:8 --shard 1/1", "--walk cannot be combined with --shard; "),
    ("--frames 9", "--frames needs --walk A:B; add --walk, or leave out --frames"),
    ("--walk 7:8 --format pngs", "--walk applies to format png and npy, not to pngs; leave it out"),
    ("--walk 7:8 --format idx", "--walk applies to format png and npy, not to idx; leave it out"),
    ("--walk 7", "--walk must be two seeds A:B such as 7:8, got '7'"),
    ("--walk 7:8:9", "got '7:8:9'"),
    ("--walk 7:-8", "got '7:-8'"),
    (f"--walk 7:{2**64}", f"got '7:{2**64}'"),
    ("--walk 7:8 --frames 1", "--frames must be "),
    ("--truncation nan", "--truncation must be a number from 0 to 4, got 'nan'"),
    ("--truncation -1", "got '-1'"),
    ("--truncation inf", "got 'inf'"),
    ("--truncation half", "got 'half'"),
]


@pytest.mark.parametrize(
    ("words", "message"), CONTRADICTIONS, ids=[each for each, _ in CONTRADICTIONS]
)
def test_contradictory_noise_options_are_wrong_usage(
    run: Command, folder: Path, words: str, message: str
) -> None:
    done = run(*words.split())
    assert message in error_line(done)
    assert done.returncode == 2
    assert not list(folder.iterdir())


def test_images_that_cannot_be_numbered_are_rejected(run: Command, folder: Path) -> None:
    for words in (["--start", 2**60], ["--count", 2**62]):
        assert "out of range" in error_line(run("--same-noise", *words))
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--count", 10**9], "a frame of the walk has 1,000,000,000 images, but at most "),
        (["--count", 10**4, "--scale", 64], "a frame of "),
    ],
)
def test_a_frame_that_does_not_fit_into_memory_is_rejected(
    run: Command, folder: Path, words: list[object], message: str
) -> None:
    done = run("--digit", 3, "--walk", "7:8", *words, "--output", "a.png")
    assert error_line(done).startswith(f"error: {message}")
    assert done.returncode == 1
    assert not list(folder.iterdir())


def test_a_picture_of_a_walk_has_the_size_of_one_frame(run: Command, folder: Path) -> None:
    run("--digit", 3, "--walk", "7:7", "--frames", 20, "--output", "a.png")
    assert read_png(folder / "a.png").shape == (HEIGHT, WIDTH)
