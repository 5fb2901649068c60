"""What the options of all commands have in common."""

import json
import re
from pathlib import Path

import pytest
from commands import COMMANDS, Command

from cgan_export import export_model


@pytest.fixture(scope="module")
def int8_file(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "small.onnx"
    export_model(run_dir, path, precision="int8")
    return path


@pytest.fixture
def files(
    onnx_file: Path, small_toml: Path, run_dir: Path, int8_file: Path, classifier_cache: Path
) -> dict[str, object]:
    names = ("onnx", "toml", "run", "int8", "cache")
    paths = (onnx_file, small_toml, run_dir, int8_file, classifier_cache)
    return dict(zip(names, paths, strict=True))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_output_have_short_forms(call: Command, name: str) -> None:
    text = call(name, "--help").stdout.decode()
    assert re.search(r"^ +-h, --help ", text, re.MULTILINE)
    if "--output " in text:
        assert re.search(r"^ +-o, --output ", text, re.MULTILINE)
    assert call(name, "-h").stdout.decode() == text


TRAIN = ("--dataset", "optdigits", "--threads", 1, "--minutes", 1e-6)


@pytest.mark.parametrize(
    ("name", "words", "missing"),
    [
        ("cgan-run", ("-o", "a.png", "--model", "{onnx}"), "{onnx}"),
        ("cgan-bulk", ("-o", "a", "--count", 1, "--workers", 1, "--model", "{onnx}"), "{onnx}"),
        ("cgan-check", ("--model", "{onnx}"), "{onnx}"),
        ("cgan-train", (*TRAIN, "--recipe", "{toml}"), "{toml}"),
        ("cgan-export", ("{run}", "a.onnx", "--card"), "{run}"),
        ("cgan-export", ("{int8}", "--c", "a"), "{int8}"),
    ],
)
def test_a_quiet_command_prints_only_errors(
    call: Command, files: dict[str, object], name: str, words: tuple[object, ...], missing: str
) -> None:
    done = call(name, *(str(each).format(**files) for each in words), "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    none = files | {missing.strip("{}"): "none.onnx" if missing != "{toml}" else "none.toml"}
    done = call(name, *(str(each).format(**none) for each in words), "-q")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: ")
    assert b"none." in done.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cgan-check", ("--model", "{onnx}", "--json")),
        ("cgan-train", (*TRAIN, "--recipe", "{toml}", "--dry-run")),
        ("cgan-export", ("{run}", "a.onnx", "--json")),
        ("cgan-export", ("{int8}", "--c", "a", "--json")),
        ("cgan-eval", ("{run}", "--quick", "--cache-dir", "{cache}")),
        ("cgan-eval", ("{run}", "--quick", "--cache-dir", "{cache}", "--json")),
    ],
)
def test_quiet_keeps_requested_reports(
    call: Command, files: dict[str, object], name: str, words: tuple[object, ...]
) -> None:
    done = call(name, *(str(each).format(**files) for each in words), "-q")
    assert (done.returncode, done.stderr) == (0, b"")
    if "--json" in words:
        json.loads(done.stdout)
    assert len(done.stdout.splitlines()) > 3


def test_a_quiet_command_prints_warnings(call: Command, small_toml: Path) -> None:
    text = small_toml.read_text().replace('"small"', '"edge-finish"')
    small_toml.write_text(text)
    done = call("cgan-train", *TRAIN, "--recipe", small_toml, "-q")
    assert (done.returncode, done.stdout) == (0, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("WARNING: the recipe edge-finish is meant to continue a run of ")


@pytest.mark.parametrize(
    ("name", "words"), [("cgan-run", "--ver"), ("cgan-export", "unexpected --ver")]
)
def test_the_shell_completes_options(call: Command, name: str, words: str) -> None:
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    number = str(len(words.split()))
    done = call(
        name, **{variable: "bash_complete", "COMP_WORDS": f"{name} {words}", "COMP_CWORD": number}
    )
    assert done.stdout == b"plain,--version\n"
    assert done.stderr == b""
