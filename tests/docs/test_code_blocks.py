"""The code blocks of the pages run, or are at least valid usage.

Python blocks of a page run in order, in one namespace. Its bash blocks run in order, as one script.
A block after a comment such as `<!-- not run: needs a GPU -->` does not run. Commands are lines of
indented and console blocks. A command that needs only the shipped model (digits.onnx) runs with at
most 100 images. Other commands do not run: a test checks their options, make targets and scripts,
and is skipped with the reason.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess
from typing import NamedTuple

import click
import pytest
from api_pages import COMMANDS

from cgan_runtime.model_file.reading import SHIPPED_MODEL

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("*/README.md")),
    SHIPPED_MODEL.with_suffix(".md"),
    *(page for page in sorted(ROOT.glob("docs/**/*.md")) if page.parent.name != "design"),
]
FENCE = re.compile(
    r"(?P<mark><!-- not run: [^\n]+ -->\n+)?^```(?P<language>[\w{}-]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n(?:\n(?= {4}))?)+")
PROGRAMS = (*COMMANDS, "make", "python")
MAX_COUNT = 100
# Why a command does not run here, by its first words.
NOT_RUN = {
    "cgan-train": "it trains",
    "cgan-eval": "it needs a dataset",
    "cgan-export runs": "it needs a trained model",
    "make": "it is a target of the Makefile",
    "python": "it is a script of the repository",
}


class Block(NamedTuple):
    """A code block of a page."""

    page: Path
    language: str  # of a fence; "" for an indented block
    text: str
    is_marked: bool  # whether a comment says that it does not run


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in FENCE.finditer(text):
            yield Block(page, match["language"], match["text"], match["mark"] is not None)
        for match in INDENTED.finditer(FENCE.sub("", text)):
            yield Block(page, "", match[0], is_marked=False)


def texts(page: Path, language: str) -> list[str]:
    """Return the blocks of a page that run, in order."""
    return [
        block.text
        for block in BLOCKS
        if block.page == page and block.language == language and not block.is_marked
    ]


def commands(block: Block) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command of a block, without redirections."""
    for raw in re.sub(r"\\\n\s*", "", block.text).splitlines():
        line = raw.strip().removeprefix("$ ")
        if line.split(" ")[0] not in PROGRAMS:
            continue
        words: list[str] = []
        for word in [*_words(line), ";"]:
            if word in {";", "&&", "|", ">"}:
                if words and words[0] in PROGRAMS:
                    yield tuple(words)
                words = []
            else:
                words.append(word)


def _words(line: str) -> Iterator[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.wordchars += ":,[]@+"
    return iter(lexer)


BLOCKS = list(blocks())
SHELL_LINES = {
    command: block.page.name
    for block in BLOCKS
    if block.language in {"", "console"} and not block.is_marked
    for command in commands(block)
}
TUTORIAL = [ROOT / "docs" / "tutorial" / name for name in ("README.md", "solutions.md")]
PYTHON_PAGES = [
    page
    for page in PAGES
    if page not in TUTORIAL  # it trains: test_tutorial.py runs it
    and any(block.page == page and block.language == "python" for block in BLOCKS)
]
BASH_PAGES = sorted({block.page for block in BLOCKS if block.language == "bash"})


def reason_not_to_run(command: tuple[str, ...]) -> str:
    for start, reason in NOT_RUN.items():
        if " ".join(command).startswith(start):
            return reason
    options = dict(pairwise(command))
    if "--engine" in options or options.get("--provider", "cpu") != "cpu":
        return "it needs a cluster or another provider"
    inputs = [word for word in command if word.endswith(".onnx")]
    if any(word != SHIPPED_MODEL.name for word in inputs):
        return "it needs another model"
    return ""


def check_usage(command: tuple[str, ...]) -> None:
    """Fail unless the options, the make target or the script of a command exist."""
    name, *arguments = command
    if name == "make":
        targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert "-C" in arguments or arguments[0] in targets
    elif name == "python":
        assert (ROOT / arguments[0]).is_file()
    else:
        with suppress(click.exceptions.Exit):  # of --help and --version
            import_module(COMMANDS[name]).command.make_context(name, arguments)


def test_the_pages_have_blocks() -> None:
    assert len(SHELL_LINES) > 40
    assert len(PYTHON_PAGES) >= 2


@pytest.mark.parametrize("words", SHELL_LINES, ids=" ".join)
def test_a_command_runs_or_is_valid_usage(
    words: tuple[str, ...],
    tmp_path: Path,
    call: Callable[..., CompletedProcess[bytes]],
    command: Callable[..., CompletedProcess[bytes]],
) -> None:
    shutil.copy(SHIPPED_MODEL, tmp_path)
    (tmp_path / "photos").mkdir()  # a dataset's folder must exist
    check_usage(words)
    if reason := reason_not_to_run(words):
        pytest.skip(reason)
    arguments = list(words[1:])
    if "--count" in arguments:
        place = arguments.index("--count") + 1
        arguments[place] = str(min(int(arguments[place]), MAX_COUNT))
    run = command if words[0] == "cgan-bulk" else call  # it starts processes
    done = run(words[0], *arguments)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_blocks_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(SHIPPED_MODEL, tmp_path)
    namespace = {"__name__": page.stem}  # not "__main__": a server would wait for requests
    for text in texts(page, "python"):
        exec(compile(text, str(page), "exec"), namespace)  # our own pages


@pytest.mark.skipif(not shutil.which("openssl"), reason="the script needs openssl")
@pytest.mark.parametrize("page", BASH_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_bash_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    script = "\n".join(["set -euo pipefail", *texts(page, "bash")])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
