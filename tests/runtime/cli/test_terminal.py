"""cgan-run on a terminal."""

import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import BLOCKS, HEIGHT, SCRIPT, WIDTH, Command
from folders import names_in
from terminals import all_shown


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
        shown = all_shown(master)
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
