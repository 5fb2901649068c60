"""cgan-run on a terminal."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from cli_runs import HEIGHT, SCRIPT, WIDTH, names_in
from terminals import run_on_terminal

OnTerminal = Callable[..., tuple[int, str, str]]
BLOCKS, ASCII = set("▀▄█"), set("'.:")
COLORS = re.compile(r"\x1b\[[0-9;]*m")
ENVIRONMENT = {"COLUMNS": "60", "PYTHONIOENCODING": "utf-8", "COLORTERM": "", "NO_COLOR": ""}


@pytest.fixture
def on_terminal(tiny_model: Path, folder: Path) -> OnTerminal:
    """Run the command; return its exit code, the text on the terminal, and stderr."""

    def run(*arguments: object, **environment: str) -> tuple[int, str, str]:
        model = () if "--model" in arguments else ("--model", tiny_model)
        with TemporaryFile() as stderr:
            code, text = run_on_terminal(
                [SCRIPT, *model, *map(str, arguments)],
                stderr=stderr,
                cwd=folder,
                env=os.environ | ENVIRONMENT | environment,
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


@pytest.mark.parametrize(
    ("variables", "colored"),
    [
        ({"COLORTERM": "truecolor"}, True),
        ({"COLORTERM": "24bit"}, True),
        ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, False),
        ({"COLORTERM": "truecolor", "PYTHONIOENCODING": "ascii"}, False),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else None,
)
def test_preview_has_the_colors_that_the_terminal_can_show(
    on_terminal: OnTerminal, variables: dict[str, str], colored: bool
) -> None:
    code, text, _ = on_terminal("--digits", 20, "--seed", 7, **variables)
    assert code == 0
    assert ("\x1b[38;2;" in text) == colored
    if colored:
        *picture, _, _ = text.splitlines()
        assert len(picture) == HEIGHT // 2
        assert {len(COLORS.sub("", line)) for line in picture} == {2 * WIDTH}


@pytest.mark.parametrize(
    ("image_shape", "columns", "width", "lines"),
    [((3, 8, 80), "200", 40, 2), ((3, 12, 40), "30", 20, 3), ((1, 100, 8), "200", 4, 25)],
)
def test_large_images_are_shrunk(
    on_terminal: OnTerminal,
    make_model: Callable[..., Path],
    tmp_path: Path,
    image_shape: tuple[int, int, int],
    columns: str,
    width: int,
    lines: int,
) -> None:
    model = make_model(tmp_path / "large.onnx", image_shape=image_shape)
    variables = {"COLUMNS": columns, "COLORTERM": "truecolor"}
    _, text, _ = on_terminal("--model", model, "--digit", 3, **variables)
    *picture, _, _ = text.splitlines()
    assert [len(COLORS.sub("", line)) for line in picture] == [width] * lines


def test_no_preview_prints_only_the_path_and_seed(on_terminal: OnTerminal) -> None:
    shown = on_terminal("--digit", 3, "--seed", 7, "--no-preview")
    assert shown == (0, "digit-3-seed-7.png  seed 7\n", "")


@pytest.mark.parametrize("words", [[], ["--format", "idx"], ["--count", "3000"]])
def test_quiet_prints_nothing(on_terminal: OnTerminal, folder: Path, words: list[str]) -> None:
    line = ("--digit", 3, "--output", "a", *(words or ["--format", "png"]))
    if words[:1] == ["--count"]:  # enough for a progress bar
        line = ("--count", 3000, "--format", "npy", "--output", "a")
    assert on_terminal(*line, "-q") == (0, "", "")
    assert names_in(folder) == ["a"]


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
