"""What the options of all commands have in common."""

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Command = Callable[..., CompletedProcess[bytes]]
COMMANDS = ["cgan-run", "cgan-bulk", "cgan-check", "cgan-train", "cgan-export", "cgan-eval"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_a_short_form(command: Command, name: str) -> None:
    """In a process, because click keeps the options of the first call."""
    done = command(name, "-h")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == command(name, "--help").stdout
    assert re.search(r"^ +-h, --help ", done.stdout.decode(), re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_no_limit_that_nobody_reaches(call: Command, name: str) -> None:
    text = call(name, "--help").stdout.decode()
    assert not re.search(r"2\*\*|2\^|[0-9]{9}", re.sub(r"cgan-\w+ .*", "", text))


@pytest.mark.parametrize("name", ["cgan-run", "cgan-bulk", "cgan-eval"])
def test_output_has_a_short_form(call: Command, name: str) -> None:
    assert re.search(r"^ +-o, --output ", call(name, "--help").stdout.decode(), re.MULTILINE)


@pytest.mark.parametrize("name", ["cgan-run", "cgan-bulk", "cgan-check"])
def test_a_quiet_command_prints_only_errors(call: Command, tmp_path: Path, name: str) -> None:
    words = {
        "cgan-run": ("-o", "a.png"),
        "cgan-bulk": ("-o", "bulk", "--count", 1, "--workers", 1, "--format", "idx"),
        "cgan-check": (),
    }[name]
    done = call(name, *words, "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = call(name, *words, "-q", "--model", "none.onnx")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: there is no model none.onnx")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("words", ["--ver", "unexpected --ver"])
def test_the_shell_completes_options(call: Command, name: str, words: str) -> None:
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    number = str(len(words.split()))
    done = call(
        name, **{variable: "bash_complete", "COMP_WORDS": f"{name} {words}", "COMP_CWORD": number}
    )
    assert done.stdout == b"plain,--version\n"
    assert done.stderr == b""
