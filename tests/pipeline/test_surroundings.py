"""Odd surroundings: homes, /dev/shm, languages, names, terminals, clocks, -OO and -W error."""

import ast
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet
from terminals import all_shown

from cgan_runtime import ImageGenerator
from cgan_runtime.errors import OutputError
from cgan_runtime.generator import SHIPPED_MODEL
from cgan_training.cli.common import default_cache_dir
from cgan_training.data import Dataset
from cgan_training.evaluation.classifier import load_or_train_classifier
from cgan_training.model_file import load_model

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PATH = f"{BIN}:{os.environ['PATH']}"
COMMANDS = ("cgan-run", "cgan-check", "cgan-bulk", "cgan-train", "cgan-export", "cgan-eval")
DRAW = ("cgan-run", "--digits", "2026", "--seed", "7")
BULK = ("cgan-bulk", "--count", "2000", "--seed", "7", "--workers", "1", "--output", "bulk")
ODD = os.fsdecode(b"-\xff new\nline\x1b[1m '\" \\ $\\frac$ \xc3\xbc")  # and all that of one name
Done = subprocess.CompletedProcess[bytes]
Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command in a folder of its own, with or (None) without variables."""

    def start(*words: str | Path, env: Mapping[str, str | None] | None = None) -> Done:
        changed = {**os.environ, "PATH": PATH, **(env or {})}
        done: Done = subprocess.run(
            [shutil.which(words[0], path=PATH) or words[0], *words[1:]],
            cwd=tmp_path,
            env={key: value for key, value in changed.items() if value is not None},
            capture_output=True,
            check=False,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )
        return done

    return start


@pytest.fixture(scope="module")
def digits_2026() -> bytes:
    """The pixels that DRAW asks for."""
    with ImageGenerator(provider="cpu", threads=1) as generator:
        return generator.generate([2, 0, 2, 6], seed=7).tobytes()


def require_quiet(done: Done) -> None:
    assert (done.returncode, done.stderr) == (0, b"")


def the_error(done: Done, code: int = 1) -> str:
    """Return the one line that a command failed with."""
    assert (done.returncode, done.stdout) == (code, b"")
    (line,) = done.stderr.decode(errors="replace").splitlines()
    assert line.startswith("error: ")
    return line


def in_namespace(*mounts: str) -> tuple[str, ...]:
    """Return words in front of a command that give it mounts which nobody else sees."""
    user = ["--map-root-user"] if os.getuid() else []
    words = (
        "unshare",
        "--mount",
        *user,
        "sh",
        "-c",
        f'{" && ".join(mounts)} || exit 99; exec "$@"',
    )
    trial = subprocess.run([*words, "sh", "true"], capture_output=True, text=True, check=False)
    if trial.returncode:
        pytest.skip(f"no mounts here: {trial.stderr.strip()}")
    return (*words, "sh")


# Homes.


@pytest.mark.parametrize("home", [None, "", "missing", "file", "folder", "relative/home"])
def test_a_home_of_any_kind(run: Run, tmp_path: Path, digits_2026: bytes, home: str | None) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    place = home if home in (None, "", "relative/home") else str(tmp_path / home)
    before = sorted(tmp_path.rglob("*"))
    variables = {"HOME": place, "XDG_CACHE_HOME": None, "XDG_CONFIG_HOME": None}
    done = run(*DRAW, "--format", "npy", "--output", "-", env=variables)
    require_quiet(done)
    assert done.stdout.endswith(digits_2026)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_user_without_a_home(run: Run, tmp_path: Path) -> None:
    """As containers have them: an id that the system does not know, and no HOME."""
    words = ("unshare", "--user", "--map-user=54321")
    trial = run(*words, "id", "-u")
    if trial.stdout != b"54321\n":
        pytest.skip(f"no such users here: {trial.stderr.decode().strip()}")
    nobody = {"HOME": None, "XDG_CACHE_HOME": None}
    require_quiet(run(*words, *DRAW, "--output", "a.png", env=nobody))
    done = run(*words, "cgan-export", "none.pt", "a.onnx", env=nobody)
    assert the_error(done).startswith("error: there is no none.pt; ")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_judge_without_a_home(monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    place = default_cache_dir()
    with pytest.raises(OutputError, match="Not a directory; choose another --cache-dir"):
        load_or_train_classifier(digits.images, digits.labels, classes=10, cache_dir=place)


# /dev/shm.


READ_ONLY = "mount -t tmpfs -o ro none /dev/shm"
LITTLE_DEV = """  # null and its like, and nothing else
mount -t tmpfs none /mnt
for each in null zero full random urandom tty ptmx; do
    touch /mnt/$each && mount --bind /dev/$each /mnt/$each
done
mkdir /mnt/pts
mount --bind /dev/pts /mnt/pts
ln -s /proc/self/fd /mnt/fd
mount --rbind /mnt /dev
! test -e /dev/shm"""


@pytest.mark.parametrize("mounts", [READ_ONLY, LITTLE_DEV], ids=["read-only", "missing"])
def test_no_shared_memory(
    run: Run, tmp_path: Path, small_toml: Path, digits_2026: bytes, mounts: str
) -> None:
    """Nor more than a poor terminal."""
    words = in_namespace(mounts)
    done = run(*words, *DRAW, "--format", "npy", "--output", "-")
    require_quiet(done)
    assert done.stdout.endswith(digits_2026)
    line = the_error(run(*words, *BULK, "--format", "idx"))
    assert "their semaphores lie in /dev/shm; mount it for writing, or draw the parts with" in line
    assert not [*(tmp_path / "bulk").rglob("*.part")]
    train = ("cgan-train", "--recipe", str(small_toml), "--dataset", "optdigits", "--threads", "1")
    poor = {"TERM": "dumb", "COLUMNS": "1", "NO_COLOR": "1"}
    code, shown = on_a_terminal((*words, *train, "--run-dir", "run"), tmp_path, poor)
    assert code == 0, shown
    assert shown.splitlines()[-1] == "run/model.pt"
    assert "Traceback" not in shown
    assert "Warning" not in shown
    load_model(tmp_path / "run")


# Languages.


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with locales that a system may lack, for LOCPATH."""
    folder = tmp_path_factory.mktemp("locales")
    for language, letters in (("tr_TR", "UTF-8"), ("de_DE", "ISO-8859-1")):
        made = folder / f"{language}.{letters}"
        try:
            subprocess.run(
                ["localedef", "-i", language, "-f", letters, made], capture_output=True, check=False
            )
        except FileNotFoundError:
            pytest.skip("no localedef here")
        if not made.exists():
            pytest.skip(f"localedef makes no {language}")
    return folder


@pytest.mark.parametrize(
    "variables",
    [
        {"LANG": "C", "LC_ALL": None, "LC_CTYPE": None},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "0"},
        {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"},
        {"LC_ALL": "xx_YY.nonsense"},
        {"PYTHONIOENCODING": "utf-8:strict"},
        {"PYTHONIOENCODING": "cp437"},
    ],
    ids=lambda variables: ",".join(f"{key}={value}" for key, value in variables.items()),
)
def test_a_language_of_any_kind(
    run: Run,
    tmp_path: Path,
    locales: Path,
    digits_2026: bytes,
    variables: dict[str, str | None],
) -> None:
    """The path that is printed may be in letters that stdout lacks."""
    variables = {"LOCPATH": str(locales), **variables}
    shutil.copy(SHIPPED_MODEL, tmp_path / f"{ODD}.onnx")
    done = run(*DRAW, "--model", f"./{ODD}.onnx", "--output", f"./{ODD}.npy", env=variables)
    require_quiet(done)
    assert (tmp_path / f"{ODD}.npy").read_bytes().endswith(digits_2026)
    if "UTF-8" in str(variables.get("LC_ALL")) or "utf-8:strict" in variables.values():
        assert done.stdout == os.fsencode(f"./{ODD}.npy  seed 7\n")
    done = run("cgan-run", "--model", f"{ODD}.none", env=variables)
    assert the_error(done).startswith("error: there is no model -")


# Names.


def test_names_of_any_kind(call: Run, tmp_path: Path, small_toml: Path, judge_cache: Path) -> None:
    """Bytes that are no letters, spaces, ends of lines and the rest, wherever a path goes."""
    shutil.copy(SHIPPED_MODEL, tmp_path / f"{ODD}.onnx")
    small_toml.rename(tmp_path / f"{ODD}.toml")
    judges = tmp_path / f"{ODD}-judges"
    shutil.copytree(judge_cache, judges)
    idx = ("--digits", "0123456789", "--count", "150", "--format", "idx", "--output", f"./{ODD}")
    done = call("cgan-run", "--model", f"./{ODD}.onnx", "--seed", "1", *idx)
    require_quiet(done)
    assert done.stdout == os.fsencode(f"./{ODD}  seed 1\n")

    done = call("cgan-check", "--model", f"./{ODD}.onnx", "--json", "--threads", "1")
    require_quiet(done)
    assert json.loads(done.stdout)["model"]["path"] == f"{ODD}.onnx"

    done = call(*BULK[:-1], f"./{ODD}-bulk", "--model", f"./{ODD}.onnx")
    require_quiet(done)
    (shard,) = (tmp_path / f"{ODD}-bulk" / "shards").iterdir()
    with shard.open("rb") as file:
        assert parquet.read_metadata(file).num_rows == 2000

    places = ("--data-dir", f"./{ODD}-data", "--run-dir", f"./{ODD}-run")
    train = ("--recipe", f"./{ODD}.toml", "--dataset", f"./{ODD}/MNIST/raw", "--epochs", "1")
    done = call("cgan-train", *train, *places, "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == os.fsencode(f"{ODD}-run/model.pt\n")
    assert len(done.stderr.splitlines()) == 2
    config = json.loads((tmp_path / f"{ODD}-run" / "config.json").read_text())
    assert config["dataset"]["data_dir"] == str(tmp_path / f"{ODD}-data")
    done = call("cgan-train", "--resume", f"./{ODD}-run")
    assert done.returncode == 0, done.stderr

    export = ("cgan-export", "--card", "--triton", f"./{ODD}-triton", "--json", f"./{ODD}-run")
    done = call(*export, "plain.onnx")
    require_quiet(done)
    assert json.loads(done.stdout)[0]["triton"] == f"{ODD}-triton/plain/1"
    done = call(*export, f"./{ODD}-out.onnx")
    assert "error: Triton can call no model" in the_error(done)
    done = call("cgan-export", "--card", f"./{ODD}-run", f"./{ODD}-out.onnx")
    require_quiet(done)
    assert (tmp_path / f"{ODD}-out.onnx").read_bytes() == (tmp_path / "plain.onnx").read_bytes()

    evaluate = ("cgan-eval", f"./{ODD}-out.onnx", "--quick", "--dataset", "optdigits", "--json")
    places = ("--cache-dir", str(judges), "--output", f"./{ODD}-pictures")
    done = call(*evaluate, *places, "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 3
    assert json.loads(done.stdout)["models"][0]["model"] == f"{ODD}-out.onnx"
    for path in (*tmp_path.glob("*-run/*.png"), *tmp_path.glob("*-pictures/*.png")):
        with Image.open(path) as picture:
            picture.load()


@pytest.mark.parametrize(
    ("output", "more", "code", "words"),
    [
        ("digits.png", ("--card",), 2, "over it; end it in .onnx"),
        ("{run}/model.pt", (), 2, "is the trained model; choose another name"),
        ("", (), 2, "names no file"),
    ],
)
def test_an_export_over_something_else(
    call: Run,
    run_dir: Path,
    tmp_path: Path,
    output: str,
    more: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    before = (run_dir / "model.pt").read_bytes()
    done = call("cgan-export", *more, "--", str(run_dir), output.format(run=run_dir))
    assert words in the_error(done, code)
    assert not [*tmp_path.iterdir()]
    assert (run_dir / "model.pt").read_bytes() == before


# Terminals.


def on_a_terminal(
    words: tuple[str, ...], folder: Path, variables: Mapping[str, str | None]
) -> tuple[int, str]:
    """Run a command with a terminal for all three streams; return its code and what it showed."""
    changed = {**os.environ, **variables}
    env = {key: value for key, value in changed.items() if value is not None}
    child, terminal = pty.fork()
    if not child:
        os.chdir(folder)
        os.execvpe(words[0], words, {**env, "PATH": PATH})
    shown = all_shown(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), shown.decode(errors="replace")


TERMINALS: list[dict[str, str | None]] = [
    {"TERM": None, "COLUMNS": None, "LINES": None},
    {"TERM": "dumb", "NO_COLOR": "1"},
    {"TERM": "no such terminal", "COLUMNS": "1", "LINES": "1"},
    {"COLUMNS": "-5", "TERM": ""},
    {"COLUMNS": "100000000", "FORCE_COLOR": "1"},
]


@pytest.mark.parametrize("variables", TERMINALS, ids=str)
def test_a_terminal_of_any_kind(
    tmp_path: Path, digits_2026: bytes, variables: dict[str, str | None]
) -> None:
    code, shown = on_a_terminal((*DRAW, "--output", "a.npy"), tmp_path, variables)
    assert (code, shown.splitlines()[-1]) == (0, "a.npy  seed 7")
    assert "\x1b" not in shown
    assert (tmp_path / "a.npy").read_bytes().endswith(digits_2026)
    many = ("cgan-run", "--digit", "3", "--count", "30000", "--output", "b.npy", "--no-preview")
    code, shown = on_a_terminal(many, tmp_path, variables)  # with a bar
    assert code == 0, shown
    assert len(np.load(tmp_path / "b.npy")) == 30_000


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- >&- 2>&-"])
def test_no_streams(run: Run, tmp_path: Path, closed: str) -> None:
    """Workers are started too, whose pipes then have the numbers of the streams."""
    done = run("sh", "-c", f'exec "$@" {closed}', "sh", str(BIN / BULK[0]), *BULK[1:])
    require_quiet(done)
    (shard,) = (tmp_path / "bulk" / "shards").iterdir()
    assert parquet.read_metadata(shard).num_rows == 2000


# Memory; tests/load looks closer at cgan-run.


@pytest.mark.parametrize("name", COMMANDS)
def test_little_memory(run: Run, tmp_path: Path, name: str) -> None:
    """Where libraries would end the process in words of their own, or by abort()."""
    words = {"cgan-bulk": BULK[1:], "cgan-export": ("a.pt", "a.onnx"), "cgan-eval": ("a.pt",)}
    line = ("bash", "-c", 'ulimit -c 0 -v 100000; exec "$@"', "bash", name, *words.get(name, ()))
    said = "error: 97 MB of address space are allowed here \\(ulimit -v\\), and .* takes [0-9]+; "
    assert re.match(said, the_error(run(*line)))
    require_quiet(run(*line[:5], "--help"))
    assert not [*tmp_path.iterdir()]


# Clocks.


@pytest.mark.parametrize("kind", ["png", "pngs", "npy", "idx", "idx-gz"])
def test_clocks_change_no_byte(run: Run, tmp_path: Path, kind: str) -> None:
    found = []
    for zone in ("Pacific/Kiritimati", "<odd>-26:59:59", ":/dev/null"):
        place = tmp_path / "place"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        done = run(*DRAW, "--format", kind, "--output", "place/a", env={"TZ": zone})
        require_quiet(done)
        files = [path for path in sorted(place.rglob("*")) if path.is_file()]
        found.append([(path.name, path.read_bytes()) for path in files])
    assert found[0]
    assert all(each == found[0] for each in found)


# python -OO and -W error.


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("*/src/**/*.py")), ids=lambda path: "/".join(path.parts[-2:])
)
def test_no_check_is_an_assert(path: Path) -> None:
    """python -O leaves them out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)]
    words = {node.id if isinstance(node, ast.Name) else node.attr for node in named}
    assert not words & {"__debug__", "__doc__"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_without_docstrings(run: Run, name: str) -> None:
    wanted = run(name, "--help")
    require_quiet(wanted)
    optimized = run(name, "--help", env={"PYTHONOPTIMIZE": "2"})
    require_quiet(optimized)
    assert optimized.stdout == wanted.stdout
    assert b"Examples:" in wanted.stdout


def test_refusals_without_asserts(run: Run, tmp_path: Path, onnx_file: Path) -> None:
    optimized = {"PYTHONOPTIMIZE": "2"}
    content = bytearray(onnx_file.read_bytes())
    (tmp_path / "cut.onnx").write_bytes(content[:-1])
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.onnx").write_bytes(content)
    (tmp_path / "none.onnx").write_bytes(b"no model")
    for name in ("cut", "changed", "none"):
        done = run("cgan-run", "--model", f"{name}.onnx", env=optimized)
        assert f"error: {name}.onnx " in the_error(done)
    done = run("cgan-run", "--digit", "3", "--seed", str(2**64), env=optimized)
    assert "is not in the range" in the_error(done, 2)


GATES = """
import sys
from pathlib import Path
from cgan_export.errors import VerificationError
from cgan_export.verification import Tolerance, verify
from cgan_training.archive import ArchiveError, load_archive
from cgan_training.cli.common import default_cache_dir
from cgan_training.data import Dataset
from cgan_runtime.errors import OutputError
from cgan_training.evaluation.classifier import load_or_train_classifier
from cgan_training.model_file import load_model

onnx_file, run = map(Path, sys.argv[1:])
try:
    verify(onnx_file, load_model(run), Tolerance(-1, 0.01))
except VerificationError as error:
    print(error)
try:
    load_archive(run / "config.json")
except ArchiveError:
    print("no archive")
"""


def test_gates_without_asserts(run: Run, run_dir: Path, onnx_file: Path) -> None:
    done = run(sys.executable, "-OO", "-c", GATES, str(onnx_file), str(run_dir))
    require_quiet(done)
    differs, archive = done.stdout.decode().splitlines()
    assert "a difference of 0 grey levels from torch, allowed is -1; nothing was written" in differs
    assert archive == "no archive"


def test_no_warning_anywhere(run: Run, tmp_path: Path, small_toml: Path) -> None:
    """Each would be an error, those of other packages too; in a home that is read-only.

    cgan-eval takes a judge: what it does under pytest, above, is as strict.
    """
    home = tmp_path / "home"
    home.mkdir()
    words = in_namespace(f"mount --bind -o ro '{home}' '{home}'")
    odd = dict.fromkeys(("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"))
    odd |= {"PYTHONWARNINGS": "error", "HOME": str(home), "LC_ALL": "C", "TZ": "no/such/zone"}
    train = ("cgan-train", "--recipe", str(small_toml), "--dataset", "optdigits", "--threads", "1")
    for command, lines in (
        ((*DRAW, "--output", "a.png"), 0),
        (("cgan-check", "--threads", "1"), 0),
        (BULK, 0),
        ((*train, "--run-dir", "run", "--epochs", "1"), 2),  # the plan, and an epoch
        (("cgan-export", "run", "a.onnx"), 0),
    ):
        done = run(*words, *command, env=odd)
        assert done.returncode == 0, done.stderr
        assert len(done.stderr.splitlines()) == lines
    assert not [*home.iterdir()]
