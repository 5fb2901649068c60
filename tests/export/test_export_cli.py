"""The command cgan-export for a trained model."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from commands import Command
from PIL import Image

import cgan_export
from cgan_export.cli import export
from cgan_export.evaluation import quality_gate
from cgan_export.evaluation.model_card import model_card
from cgan_runtime import ImageGenerator
from cgan_runtime.diagnostics.speed import Speed
from cgan_training.model_file import load_model


def test_the_command_writes_the_file_and_prints_a_table(
    call: Command, run_dir: Path, tmp_path: Path
) -> None:
    done = call("cgan-export", run_dir / "model.pt", "digits.onnx")
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode().splitlines() == [
        f"tracing {run_dir}/model.pt to an fp32 graph",
        "verifying the images of the file",
    ]
    lines = done.stdout.decode().splitlines()
    titles = [line.split("  ")[0] for line in lines]
    assert titles[:4] == ["file", "precision", "size (bytes)", "parameters"]
    assert {"max pixel error vs PyTorch", "quality gate", "throughput"} < set(titles)
    assert lines[0].split() == ["file", "digits.onnx"]
    assert f"{(tmp_path / 'digits.onnx').stat().st_size:,}" in lines[2]
    assert lines[-1].startswith("Pixel errors: scale 0 to 255, 2,920 images.")


def test_several_precisions_give_several_files(
    call: Command,
    run_dir: Path,
    tmp_path: Path,
    classifier_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quality_gate, "TEST_INTERVAL", 1000)
    options = ["--opset", 20, "--json", "--cache-dir", classifier_cache, "--triton", "models"]
    options += ["--max-accuracy-loss", 20]  # 1,000 images decide this
    for precision in ("fp32", "fp16", "int8", "fp32"):
        options += ["--precision", precision]
    done = call("cgan-export", run_dir, "digits.onnx", *options)
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout)
    names = [f"digits-{precision}" for precision in ("fp32", "fp16", "int8")]
    assert [each["path"] for each in files] == [f"{name}.onnx" for name in names]
    assert [each["triton"] for each in files] == [f"models/{name}/1" for name in names]
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(["models", *(each["path"] for each in files)])
    sizes = [(tmp_path / each["path"]).stat().st_size for each in files]
    assert [each["size_bytes"] for each in files] == sizes == sorted(sizes, reverse=True)
    gates = [each["quality_gate"] for each in files]
    assert gates[0] is None
    for gate in gates[1:]:
        assert (gate["result"], gate["images"]) == ("passed", 1000)
        assert gate["label_accuracy_change"] >= -0.02
        assert gate["classifier_accuracy"] > 0.95
    low = "the label accuracy of the trained network in the quality gate"
    assert all(any(note.startswith(low) for note in each["notes"]) for each in files[1:])
    for each in files:
        assert each["opset"] == 20
        assert 0 < each["latency_microseconds"] < 1e6
        gate = ImageGenerator(tmp_path / each["path"]).info.verification["quality_gate"]
        assert gate == ("not run" if each["precision"] == "fp32" else "passed")


def test_no_dataset_is_needed_without_the_gate(
    call: Command, run_dir: Path, tmp_path: Path
) -> None:
    options = ("--precision", "fp16", "--no-quality-gate", "--cache-dir", "none")
    done = call("cgan-export", run_dir, "digits.onnx", *options, "--dataset", "none")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["digits.onnx"]


@pytest.mark.parametrize(("precision", "enabled"), [("fp32", True), ("fp16", False)])
def test_an_option_of_the_gate_without_a_gate_is_one_warning(
    caplog: pytest.LogCaptureFixture, precision: str, enabled: bool
) -> None:
    words = ["model.pt", "a.onnx", "--max-accuracy-loss", "1"]
    with export.command.make_context("cgan-export", words):
        assert not export.gated_precisions({precision}, enabled=enabled)
    (warning,) = caplog.messages
    assert warning.startswith("--max-accuracy-loss has no effect, because ")


def test_card_and_sheet_are_written_beside_the_file(
    call: Command, run_dir: Path, tmp_path: Path, classifier_cache: Path
) -> None:
    options = ("--card", "--evaluate", "--cache-dir", classifier_cache)
    done = call("cgan-export", run_dir, "small.onnx", *options)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "small.md").read_text()
    content = (tmp_path / "small.onnx").read_bytes()
    for fact in (
        hashlib.sha256(content).hexdigest(),
        load_model(run_dir).weights_sha256,
        f"{len(content):,} bytes",
        "| dataset | optdigits |",
        "| recipe | small |",
        "| precision | fp32 |",
        "| label accuracy | 0.",
        "| recall | 0.",
        "| memorized | 0.",
        '"batch_size": 100',
        "![Generated images, one class per column](small.png)",
    ):
        assert fact in text
    with Image.open(tmp_path / "small.png") as picture:
        assert picture.size == (604, 656)


def test_the_card_lists_earlier_training_runs(onnx_file: Path) -> None:
    generator = ImageGenerator(onnx_file, "cpu")
    info = generator.info
    earlier = {**info.training, "recipe": dict(info.recipe), "dataset": "mnist"}
    generator.info = replace(info, training={**info.training, "started_from": earlier})
    card = model_card(generator, Speed(1e-5, 1e5), "sheet.png")
    assert "| started from | small, 2 epochs of mnist, " in card
    first, last = (line for line in card.splitlines() if line.startswith("    cgan-train"))
    assert first.startswith("    cgan-train --recipe recipe-1.json --dataset mnist --epochs 2 ")
    assert first.endswith(" --run-dir runs/step-1")
    assert last.startswith("    cgan-train --start-from runs/step-1 --recipe recipe-2.json ")
    generator.info = replace(info, training={})  # the command would lack options
    assert "cgan-train " not in model_card(generator, Speed(1e-5, 1e5), "sheet.png")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{run}"], 2, "OUTPUT is missing; name the file to write, such as model.onnx"),
        (["none.pt", "out.onnx"], 1, "none.pt"),
        (["text.pt", "out.onnx"], 1, "text.pt is not a model"),
        (["{run}", "none/out.onnx"], 1, "cannot write none/out.onnx: none is not a folder"),
        (["{run}", "."], 2, "OUTPUT '.' is a folder; write 'model.onnx', for example"),
        (["{run}", ""], 2, "OUTPUT '.' is a folder; "),
        (
            ["{run}", "out"],
            2,
            "OUTPUT 'out' is not a file name that ends in .onnx; write 'out.onnx'",
        ),
        (
            ["{run}", "x.png"],
            2,
            "OUTPUT 'x.png' is not a file name that ends in .onnx; write 'x.onnx'",
        ),
        (["{run}", ".onnx"], 2, "OUTPUT '.onnx' is not a file name that ends in .onnx; "),
        (["none.onnx", "out.onnx"], 1, "there is no model none.onnx; "),
        (
            ["text.onnx", "out.onnx"],
            2,
            "MODEL text.onnx is an .onnx file already; give the model.pt",
        ),
        (["text.onnx"], 2, "MODEL text.onnx is an .onnx file already; "),
        (["{run}/checkpoint.pt", "out.onnx"], 1, "; give a model.pt or its run directory"),
        (["{run}/grid.png", "out.onnx"], 1, "; give a model.pt or its run directory"),
        (["{run}", "a\n.onnx", "--triton", "models"], 1, "cannot be a Triton model name"),
        (["{run}", "out.onnx", "--precision", "int4"], 2, "'int4' is not one of"),
        (
            ["{run}", "out.onnx", "--max-accuracy-loss", "nan"],
            2,
            "must be a number from 0 to 50, got",
        ),
        (
            ["{run}", "out.onnx", "--max-accuracy-loss", "-1"],
            2,
            "must be a number from 0 to 50, got",
        ),
        (["{run}", f"{'o' * 251}.onnx", "--card"], 1, "File name too long; choose another path"),
        (
            ["{run}", f"{'o' * 245}.onnx", "--triton", "models"],
            1,
            "cannot write to models: File name",
        ),
        (
            ["{run}", "out.onnx", "--triton", "text.pt/models"],
            1,
            "cannot write to text.pt/models: Not",
        ),
        (
            ["{run}", "{run}/samples/out.onnx", "--card", "--dataset", "x", "--evaluate"],
            1,
            "'x'; choose ",
        ),
        (
            ["{run}", "out.onnx", "--precision", "int8", "--dataset", "none"],
            1,
            "the quality gate needs the dataset: ",
        ),
    ],
)
def test_bad_input_gives_one_line_and_no_file(
    call: Command, run_dir: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "text.pt").write_text("not a model")
    (tmp_path / "text.onnx").touch()
    done = call("cgan-export", *(each.format(run=run_dir) for each in arguments))
    assert done.returncode == code
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert {path.name for path in tmp_path.iterdir()} == {"text.onnx", "text.pt"}


def test_help_imports_no_large_library() -> None:
    code = (
        "import sys; from cgan_export.cli import evaluate, export;"
        "[each.command.main(['--help'], standalone_mode=False) for each in (evaluate, export)];"
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_all_public_names_can_be_imported() -> None:
    assert {"ExportReport", "export_generator", "export_model"} < set(cgan_export.__all__)
    assert all(getattr(cgan_export, name).__name__ == name for name in cgan_export.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cgan_export.nothing
