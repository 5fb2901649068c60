"""Values of every kind for every option and argument: the documented error, or a right file.

CGAN_EXAMPLES=100 tries a hundred times as many, and other ones each time.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trying import LETTERS, Call, Done, examples

from cgan_export import ExportError, export, export_model
from cgan_export.cli import report
from cgan_export.evaluation import evaluator
from cgan_export.evaluation.evaluator import Evaluation
from cgan_export.evaluation.image_sources import ImageSource
from cgan_export.tracing.trace import ContractGenerator, to_onnx
from cgan_runtime import CganError, ImageGenerator
from cgan_runtime.diagnostics.speed import Speed
from cgan_training.data import Dataset
from cgan_training.errors import ModelFileError
from cgan_training.model_file import load_model

SAID = re.compile(rb"error: [^\n]+")


WORDS = st.text(LETTERS, max_size=9).filter(
    lambda text: not text.isdecimal() and text not in ("--debug", "int8")
) | st.sampled_from(
    [
        *(
            "",
            " ",
            "-",
            "-1",
            "0",
            "1.5",
            "nan",
            "9" * 30,
            "\n",
            "\udcff",
            "None",
            "%s",
            "{}",
            "$x$",
        ),
        *(".", "..", "/", "none", "none/", "file", "folder", "n" * 300, "~", "/dev/null", "--"),
    ]
)
MODELS = st.sampled_from(["file", "folder", "none", "run/none", "file/model.pt"]) | WORDS
OUTPUTS = st.sampled_from(
    [
        *("a.onnx", "run/a.onnx", "a", "a.png", "a.MD", "none/a.onnx", "folder", "file/a.onnx"),
        *("run/model.pt", "run/../run/model.pt", "link", "a\n\udcff.onnx", "/proc/a.onnx"),
    ]
)
OPTIONS = {
    "--precision": st.sampled_from(["fp32", "fp16", "FP32", "int4"]) | WORDS,
    "--opset": st.integers(17, 23).map(str) | WORDS,
    "--dataset": WORDS,
    "--data-dir": WORDS,
    "--cache-dir": WORDS,
    "--triton": st.sampled_from(["triton", "$x$ \udcff\n"]) | WORDS,
}


def lines(most: int, options: dict[str, st.SearchStrategy[str]]) -> Any:
    """Return command lines of some of the options, each with a value."""
    pairs = [st.tuples(st.just(key), values) for key, values in options.items()]
    return st.lists(st.one_of(pairs), max_size=most).map(
        lambda some: [word for pair in some for word in pair]
    )


@pytest.fixture
def place(tmp_path: Path, call: Call, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands work; what takes long and fails never is done once."""
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name in ("HOME", "CGAN_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "outer"))
    traced: dict[int, bytes] = {}

    def to_onnx_once(module: ContractGenerator, opset: int) -> Any:
        if opset not in traced:
            traced[opset] = to_onnx(module, opset).SerializeToString()
        return onnx.ModelProto.FromString(traced[opset])

    monkeypatch.setattr(export, "to_onnx", to_onnx_once)
    monkeypatch.setattr(report, "measure_speed", lambda _: Speed(1.0, 1.0))
    return folder


def cleared(place: Path, run_dir: Path) -> dict[str, bytes]:
    """Let the place be as at first; return what lies there."""
    for path in (*place.parent.iterdir(), *place.iterdir()):
        if path != place:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (place / "folder").mkdir()
    (place / "file").write_text("old")
    (place / "run").mkdir()
    shutil.copy(run_dir / "model.pt", place / "run")
    (place / "link").symlink_to("run/model.pt")
    return files(place)


def files(place: Path) -> dict[str, bytes]:
    """Return what lies in the place, and beside it."""
    found = sorted(place.parent.rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in found}


def require_plain(done: Done) -> bool:
    """Check how a command ended; return whether it did what it was asked for."""
    assert b"Traceback" not in done.stderr
    if done.returncode == 0:
        assert b"rror" not in done.stderr
        return True
    assert done.returncode in (1, 2)
    assert done.stdout == b""
    assert SAID.fullmatch(done.stderr.removesuffix(b"\n").split(b"\n")[-1]), done.stderr
    return False


@pytest.fixture(scope="module")
def drawn(onnx_file: Path) -> bytes:
    with ImageGenerator(onnx_file, "cpu", 1) as generator:
        return generator.generate([3, 1], seed=7).tobytes()


def require_right(path: Path, drawn: bytes, most: int = 1) -> None:
    """Check that a file draws as the trained network does."""
    with ImageGenerator(path, "cpu", 1) as generator:
        found = generator.generate([3, 1], seed=7).ravel().astype(int)
    assert np.abs(found - np.frombuffer(drawn, np.uint8)).max() <= most


@examples(20)
@given(
    model=st.just("run") | st.just("run/model.pt") | MODELS,
    output=st.just("a.onnx") | OUTPUTS | WORDS,
    words=lines(2, OPTIONS),
    card=st.booleans(),
)
def test_every_option_of_cgan_export(
    call: Call,
    place: Path,
    run_dir: Path,
    drawn: bytes,
    model: str,
    output: str,
    words: list[str],
    card: bool,
) -> None:
    before = cleared(place, run_dir)
    flags = ["--no-quality-gate", "--json", *["--card"] * card]
    done = call("cgan-export", *flags, *words, "--", model, output)
    if not require_plain(done):
        after = files(place)
        if "--triton" not in words:  # a second output, which may fail after the first
            assert after == before
        assert after.items() >= before.items()
        return
    paths = [Path(row["path"]) for row in json.loads(done.stdout)]
    for path in paths:
        require_right(path, drawn)
    assert all(
        each == files(place)[name] for name, each in before.items() if place / output != Path(name)
    )


@examples(40)
@given(
    model=MODELS.map(Path) | st.just(Path("\0")) | st.just(Path("run")),
    output=OUTPUTS.map(Path) | st.just(Path("\0")),
    precision=st.sampled_from(["fp32", "FP32", "", "int4", None, 8]),
    opset=st.integers(17, 23) | st.sampled_from([19.5, "19", None, 10**30, float("nan")]),
)
def test_every_argument_of_export_model(
    place: Path, run_dir: Path, drawn: bytes, model: Path, output: Path, precision: Any, opset: Any
) -> None:
    before = cleared(place, run_dir)
    if output.name in ("model.pt", "link"):
        return  # the command alone keeps a caller from it
    try:
        made = export_model(model, output, precision=precision, opset=opset)
    except (ExportError, ModelFileError, CganError):
        assert files(place) == before
        return
    assert (str(model), precision, made.opset) == ("run", "fp32", opset)
    require_right(output, drawn)


@pytest.fixture
def cheap_examiner(monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    """Knows what a model is worth."""

    class Cheap:
        train, judge_accuracy = digits, 0.5

        def __init__(self, dataset: str, _data_dir: Path, _cache_dir: Path, say: Any) -> None:
            say(f"the judge of {dataset}")

        def evaluate(self, drawer: ImageSource, **_: bool) -> Evaluation:
            labels = torch.arange(10).repeat(3)
            return Evaluation(
                name=drawer.name,
                figures={"label_accuracy": 0.5},
                deviations={},
                accuracy_by_label=(0.5,) * 10,
                confusion=[[1] * 10] * 10,
                images=drawer.draw(labels),
                labels=labels,
                nearest=labels,
            )

    monkeypatch.setattr(evaluator, "Evaluator", Cheap)


EVALUATED = {
    "--baseline": st.just("run") | MODELS,
    "--seed": st.integers(-1, 2**64).map(str) | WORDS,
    "--draws": st.integers(-1, 21).map(str) | WORDS,
    "--threads": st.sampled_from(["1", "2", "0", "1025"]) | WORDS,
    "--dataset": WORDS,
    "--data-dir": WORDS,
    "--cache-dir": WORDS,
}


@examples(40)
@given(model=st.just("run") | MODELS, words=lines(3, EVALUATED), as_json=st.booleans())
def test_every_option_of_cgan_eval(
    call: Call,
    place: Path,
    run_dir: Path,
    cheap_examiner: None,
    model: str,
    words: list[str],
    as_json: bool,
) -> None:
    before = cleared(place, run_dir)
    done = call("cgan-eval", *words, *["--json"] * as_json, "--", model)
    if require_plain(done) and as_json:
        assert json.loads(done.stdout)["models"][0]["model"] == model
    assert files(place) == before


@examples(3)
@given(output=st.sampled_from(["folder/new", "new/a/b", "\udcff\n$x$"]) | MODELS)
def test_every_place_of_pictures(
    call: Call, place: Path, run_dir: Path, cheap_examiner: None, output: str
) -> None:
    before = cleared(place, run_dir)
    done = call("cgan-eval", "run", "--output", output)
    if require_plain(done):
        names = {path.name for path in Path(output).iterdir()}
        assert names >= {"sheet.png", "confusion.png", "nearest.png"}
    else:
        assert files(place) == before


def test_the_model_that_was_copied_is_sound(run_dir: Path, drawn: bytes) -> None:
    assert load_model(run_dir).generator.classes == 10
    assert len(set(drawn)) > 20
