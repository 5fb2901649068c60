"""cgan-run with noise from a file."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import error_line, is_close, names_in
from commands import Command

from cgan_runtime import ImageGenerator

NOISE_DIM = 6  # of the tiny model
ZEROS = np.zeros((20, NOISE_DIM), np.float32)


@pytest.mark.parametrize(
    ("words", "labels", "count", "repeats"),
    [
        (["--digit", 9], [9] * 5, 5, 1),
        (["--digits", "38"], [3, 8, 3, 8], 4, 1),
        (["--digits", "38"], [3, 8], 1, 2),
        (["--same-noise"], list(range(10)) * 3, 3, 10),
        (["--digits", "38", "--shard", "2/2"], [3, 8], 4, 1),
    ],
)
def test_noise_of_a_file_generates_the_images(
    run: Command,
    folder: Path,
    generator: ImageGenerator,
    words: list[object],
    labels: list[int],
    count: int,
    repeats: int,
) -> None:
    noise = np.random.default_rng(0).normal(size=(count, NOISE_DIM)).astype(np.float32)
    for name, array in {
        "c": noise,
        "f": np.asfortranarray(noise),
        "b": noise.astype(">f4"),
    }.items():
        path = folder / f"{name}.npy"
        np.save(path, array)
        done = run(*words, "--noise", path, "--output", f"{name}-images.npy")
        assert done.stdout.decode() == f"{name}-images.npy  noise {path}\n"
        expected = noise.repeat(repeats, axis=0)[-len(labels) :]
        images = np.load(folder / f"{name}-images.npy")
        assert is_close(images, generator.generate(labels, noise=expected))


def npy_bytes(array: Any, **options: Any) -> bytes:
    file = BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


UNSUITABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "float64": (lambda: npy_bytes(ZEROS.astype(float)), "holds float64 [20, 6]; save finite"),
    "integers": (lambda: npy_bytes(ZEROS.astype(np.int32)), "holds int32 [20, 6]; save finite"),
    "one row": (lambda: npy_bytes(ZEROS[0]), "holds float32 [6]; save finite numbers"),
    "no rows": (lambda: npy_bytes(ZEROS[:0]), "holds float32 [0, 6]; save finite numbers"),
    "wide": (
        lambda: npy_bytes(np.zeros((20, 7), np.float32)),
        "of 7 numbers, but the model takes 6",
    ),
    "NaN": (lambda: npy_bytes(ZEROS * np.nan), "contains NaN or infinity; save finite numbers"),
    "uneven": (
        lambda: npy_bytes(ZEROS[:7]),
        "has 7 noise vectors for 10 classes; give a multiple of 10",
    ),
    "pickle": (lambda: npy_bytes(np.array([{}]), allow_pickle=True), "holds object [1]; save"),
    "truncated": (lambda: npy_bytes(ZEROS)[:-1], "is truncated, or longer than it declares; "),
    "longer": (lambda: npy_bytes(ZEROS) + b"\0", "is truncated, or longer than it declares; "),
    "no array": (lambda: b"no array", "is not a .npy file of numbers; save finite numbers"),
    "empty": (lambda: b"", "is not a .npy file of numbers; save finite numbers"),
    "large": (
        lambda: npy_bytes(ZEROS).replace(b"(20, 6), }    ", b"(20000000, 6)}"),
        "holds 480,000,000 bytes of noise, more than the limit of 268,435,456; use several files",
    ),
    "negative": (lambda: npy_bytes(ZEROS).replace(b"(20, 6), }  ", b"(-20, -6),} "), "[-20, -6]"),
    "old": (
        lambda: npy_bytes(ZEROS).replace(b"(20, 6), }  ", b"(20L, 6), } "),
        "is not a .npy file",
    ),
    "version": (
        lambda: npy_bytes(ZEROS).replace(b"NUMPY\x01", b"NUMPY\x02"),
        "a version of the .npy format other than 1.0",
    ),
}


@pytest.mark.parametrize("name", UNSUITABLE)
def test_an_unsuitable_noise_file_gives_one_line(run: Command, folder: Path, name: str) -> None:
    make, message = UNSUITABLE[name]
    (folder / "noise.npy").write_bytes(make())
    done = run("--noise", "noise.npy")
    assert message in error_line(done)
    assert done.returncode == 1
    assert names_in(folder) == ["noise.npy"]


@pytest.mark.parametrize(
    ("path", "reason"), [("none.npy", "No such file or directory"), (".", "Is a directory")]
)
def test_an_unreadable_noise_file_is_reported(run: Command, path: str, reason: str) -> None:
    done = run("--noise", path)
    assert error_line(done) == f"error: cannot read {path}: {reason}; check the path"
    assert done.returncode == 1
