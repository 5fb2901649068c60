"""cgan-run on a terminal."""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from cli_runs import HEIGHT, SCRIPT, WIDTH, names_in
from terminals import run_on_terminal

OnTerminal = Callable[..., tuple[int, str, str]]
BLOCKS, ASCII = set("▀▄█"), set("'.:")


@pytest.fixture
def on_terminal(tiny_model: Path, folder: Path) -> OnTerminal:
    """Run the command; return its exit code, the text on the terminal, and stderr."""

    def run(*arguments: object, **environment: str) -> tuple[int, str, str]:
        with TemporaryFile() as stderr:
            code, text = run_on_terminal(
                [SCRIPT, "--model", tiny_model, *map(str, arguments)],
                stderr=stderr,
                cwd=folder,
                env=os.environ | {"COLUMNS": "60", "PYTHONIOENCODING": "utf-8"} | environment,
            )
            stderr.seek(0)
            return code, text.decode().replace("\r\n", "\n"), stderr.read().decode()

    return run


@pytest.mark.parametrize(("encoding", "glyphs"), [("utf-8", BLOCKS), ("ascii", ASCII)])
def test_preview_is_shown_on_a_terminal(
    on_terminal: OnTerminal, folder: Path, encoding: str, glyphs: set[str]
) -> None:
    code, text, stderr = on_terminal("--digits", 2026, "--seed", 7, PYTHONIOENCODING=encoding)
    assert (code, stderr) == (0, "")
    *picture, last = text.splitlines()
    assert last == "digits-2026-seed-7.png  seed 7"
    assert glyphs & set("".join(picture))
    assert set("".join(picture)) <= glyphs | {" "}
    assert all(len(line) <= 4 * WIDTH for line in picture)
    assert len([line for line in picture if line]) <= HEIGHT // 2
    assert names_in(folder) == ["digits-2026-seed-7.png"]


@pytest.mark.parametrize(("columns", "widest"), [("60", 54), ("20", 18), ("3", 9)])
def test_preview_fits_the_terminal(on_terminal: OnTerminal, columns: str, widest: int) -> None:
    code, text, _ = on_terminal("--seed", 7, COLUMNS=columns)
    assert code == 0
    width = max(len(line) for line in text.splitlines()[:-1])
    assert widest - WIDTH < width <= widest


def test_preview_shows_only_the_first_images(on_terminal: OnTerminal) -> None:
    _, text, _ = on_terminal("--digit", 3, "--count", 30, "--seed", 7)
    assert text.endswith("(the first 20 of 30 images)\ndigit-3-seed-7.png  seed 7\n")


def test_no_preview_prints_only_the_path_and_seed(on_terminal: OnTerminal) -> None:
    shown = on_terminal("--digit", 3, "--seed", 7, "--no-preview")
    assert shown == (0, "digit-3-seed-7.png  seed 7\n", "")


def test_control_characters_of_a_path_are_escaped(on_terminal: OnTerminal, folder: Path) -> None:
    path = "a\x1b[1m\nb.png"
    shown = on_terminal("--digit", 3, "--seed", 7, "--no-preview", "--output", path)
    assert shown == (0, "a\\x1b[1m\\nb.png  seed 7\n", "")
    assert names_in(folder) == [path]


def test_image_data_is_not_written_to_a_terminal(on_terminal: OnTerminal, folder: Path) -> None:
    code, text, stderr = on_terminal("--digit", 3, "--output", "-")
    assert (code, text) == (2, "")
    assert stderr.startswith("error: a terminal cannot show PNG data; redirect stdout to a file")
    assert not list(folder.iterdir())
