"""Any value of any option gives a documented exit code, at most one error and no stray file."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Command
from hypothesis import given
from hypothesis import strategies as st
from property_testing import WORD_CHARACTERS, examples

from cgan_export import export
from cgan_export.evaluation import evaluator
from cgan_export.evaluation.evaluator import Evaluation
from cgan_export.evaluation.image_sources import ImageSource
from cgan_export.tracing.trace import export_to_onnx
from cgan_runtime.diagnostics import speed
from cgan_training.data import Dataset

SPECIAL = """-1 1.5 nan 20 fp16 999999999999999999999 %s {} $x$ . ~ -- none/ none/a.onnx file
    file/a folder run run/model.pt run/../run/model.pt run/a.onnx link a.MD /dev/null"""
TEXTS = st.text(WORD_CHARACTERS, max_size=9).filter(lambda text: text not in ("--debug", "int8"))
VALUES = TEXTS | st.sampled_from([*SPECIAL.split(), "", "a\n\udcff", "n" * 300])
COMMON = ("--dataset", "--data-dir", "--cache-dir")
EXPORT = (*COMMON, "--precision", "--opset", "--triton")
EVAL = (*COMMON, "--baseline", "--seed", "--repeats", "--threads", "--output")


class FakeEvaluator:
    classifier_accuracy = 0.5
    train: Dataset

    def __init__(self, *_: Any) -> None:
        pass

    def evaluate(self, source: ImageSource, **_: Any) -> Evaluation:
        labels, confusion = torch.arange(10), [[1] * 10] * 10
        images = source.generate(labels)
        return Evaluation(source.name, {}, {}, (0.5,) * 10, confusion, images, labels, labels)


@pytest.fixture
def folder(tmp_path: Path, call: Command, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory. Slow steps of the commands are patched."""
    monkeypatch.setenv("HOME", str(tmp_path))
    graphs: dict[int, Any] = {}

    def export_once(module: Any, opset: int) -> Any:
        graph = graphs.get(opset) or graphs.setdefault(opset, export_to_onnx(module, opset))
        return type(graph).FromString(graph.SerializeToString())

    monkeypatch.setattr(FakeEvaluator, "train", digits, raising=False)
    monkeypatch.setattr(evaluator, "Evaluator", FakeEvaluator)
    monkeypatch.setattr(export, "export_to_onnx", export_once)
    monkeypatch.setattr(speed, "measure_speed", lambda _: speed.Speed(1.0, 1.0))
    return tmp_path


@examples(25)
@given(st.data(), st.booleans(), st.just("run") | VALUES, st.just("a.onnx") | VALUES)
def test_any_option_value_works_or_gives_one_error_line(
    call: Command, folder: Path, run_dir: Path, data: Any, exports: bool, model: str, output: str
) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (folder / "folder").mkdir()
    (folder / "file").write_text("old")
    shutil.copytree(run_dir, folder / "run", ignore=shutil.ignore_patterns("*.jsonl", "samples"))
    (folder / "link").symlink_to("run/model.pt")

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before, name = files(), "cgan-export" if exports else "cgan-eval"
    pairs = st.tuples(st.sampled_from(EXPORT if exports else EVAL), VALUES)
    options = [word for pair in data.draw(st.lists(pairs, max_size=3)) for word in pair]
    flags = ["--json", *["--no-quality-gate", "--card"] * exports]
    done = call(name, *flags, *options, "--", model, *[output] * exports)
    errors = [line for line in done.stderr.split(b"\n") if line.startswith(b"error: ")]
    changed = {path for path, content in files().items() if before.get(path) != content}
    assert b"Traceback" not in done.stderr
    assert not [path for path in changed if path.suffix == ".part"]
    assert changed & before.keys() <= {Path(folder, output).resolve()}
    if done.returncode == 0:
        assert not errors
        assert json.loads(done.stdout)
    else:
        assert (done.stdout, len(errors)) == (b"", 1)
        assert done.returncode == 2 or (done.returncode == 1 and b"; " in errors[0])
        assert not changed or {"--triton", "--output"} & set(options)  # a second output failed
