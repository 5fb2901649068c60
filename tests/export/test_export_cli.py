import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import cgan_export
from cgan_export.evaluation import quality_gate
from cgan_export.evaluation.model_card import model_card
from cgan_runtime import ImageGenerator
from cgan_runtime.diagnostics.speed import Speed
from cgan_runtime.noise import standard_normal
from cgan_training.model_file import Model, load_model, save_model
from cgan_training.networks import build_generator, to_uint8
from cgan_training.recipe import CustomGenerator

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]


def test_the_command_writes_the_file_and_prints_a_table(
    command: Command, run_dir: Path, tmp_path: Path
) -> None:
    done = command("cgan-export", run_dir / "model.pt", "digits.onnx")
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode().splitlines() == [
        f"tracing {run_dir}/model.pt to an fp32 graph",
        "verifying the images of the file",
    ]
    lines = done.stdout.decode().splitlines()
    titles = [line.split("  ")[0] for line in lines]
    assert titles[:4] == ["file", "precision", "bytes", "parameters"]
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
    monkeypatch.setattr(quality_gate, "BATCH_IMAGES", 1000)
    words = [word for each in ("fp32", "fp16", "int8", "fp32") for word in ("--precision", each)]
    done = call(
        *("cgan-export", run_dir, "digits.onnx", *words, "--opset", 20, "--json"),
        *("--cache-dir", classifier_cache, "--triton", "models"),
    )
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout)
    names = [f"digits-{precision}" for precision in ("fp32", "fp16", "int8")]
    assert [each["path"] for each in files] == [f"{name}.onnx" for name in names]
    assert [each["triton"] for each in files] == [f"models/{name}/1" for name in names]
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(["models", *(each["path"] for each in files)])
    sizes = [(tmp_path / each["path"]).stat().st_size for each in files]
    assert [each["bytes"] for each in files] == sizes == sorted(sizes, reverse=True)
    changes = [each["label_accuracy_change"] for each in files]
    assert changes[0] is None
    assert all(change >= -0.001 for change in changes[1:])
    for each in files:
        assert each["opset"] == 20
        assert 0 < each["latency_microseconds"] < 1e6
        gate = ImageGenerator(tmp_path / each["path"]).info.verification["quality_gate"]
        assert gate == ("not run" if each["precision"] == "fp32" else "passed")


def test_no_dataset_is_needed_without_the_gate(
    call: Command, run_dir: Path, tmp_path: Path
) -> None:
    done = call(
        *("cgan-export", run_dir, "digits.onnx", "--precision", "fp16", "--no-quality-gate"),
        *("--cache-dir", "none", "--dataset", "none"),
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["digits.onnx"]


@pytest.mark.parametrize("words", [[], ["--precision", "fp16", "--no-quality-gate"]])
def test_an_option_of_the_gate_without_a_gate_is_one_warning(
    call: Command, run_dir: Path, words: list[str]
) -> None:
    done = call("cgan-export", run_dir, "a.onnx", "-q", "--max-accuracy-loss", 1, *words)
    assert done.returncode == 0
    (warning,) = done.stderr.decode().splitlines()
    assert warning.startswith("WARNING: --max-accuracy-loss has no effect, because ")


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
    assert card.count("    cgan-train ") == 2
    assert " --start-from runs/step-1 " in card
    generator.info = replace(info, training={})  # the command would lack options
    assert "cgan-train " not in model_card(generator, Speed(1e-5, 1e5), "sheet.png")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing argument"),
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


MINE = """
import torch
from torch import nn

class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.label = nn.Linear(6, 64), nn.Embedding(3, 64)

    def forward(self, z, y):
        return torch.tanh(self.layer(z) + self.label(y)).view(-1, 1, 8, 8)

class Trained(nn.Module):
    def __init__(self, noise_dim, classes, channels, height, width, units):
        super().__init__()
        self.shape = channels, height, width
        self.label = nn.Embedding(classes, noise_dim)
        self.layers = nn.Sequential(
            nn.Linear(noise_dim, units), nn.ELU(), nn.Linear(units, channels * height * width)
        )

    def forward(self, noise, label):
        return torch.tanh(self.layers(noise + self.label(label))).view(-1, *self.shape)

class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.label = nn.Linear(6, 784), nn.Embedding(10, 784)

    def forward(self, z, y):
        return torch.tanh(self.layer(z) + self.label(y)).view(-1, 1, 28, 28)

def generator():
    return Mine().eval()

def training():
    return Mine()

number = 3
"""
OPTIONS = ("--noise-dim", "6", "--class-names", "classes.txt")


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of the user in the current folder."""
    name = f"mine_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MINE)
    (tmp_path / "classes.txt").write_text("cat\ndog\nox\n")
    (tmp_path / "few.txt").write_text("cat\n\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_module_is_exported_with_its_weights_card_and_triton(
    call: Command, mine: str, tmp_path: Path
) -> None:
    torch.manual_seed(2)
    state = {"layer.weight": torch.randn(64, 6), "layer.bias": torch.randn(64)}
    state["label.weight"] = torch.randn(3, 64)
    torch.save(state, tmp_path / "state.pt")
    words = ("--weights", "state.pt", "--card", "--triton", "models", "--dataset", "pets", "--json")
    done = call("cgan-export", f"{mine}:generator", "mine.onnx", *OPTIONS, *words)
    assert done.returncode == 0, done.stderr
    info = ImageGenerator(tmp_path / "mine.onnx").info
    assert (info.class_names, info.dataset) == (("cat", "dog", "ox"), "pets")
    assert info.recipe == {"module": f"{mine}:generator"}
    tensor = onnx.load(tmp_path / "mine.onnx").graph.initializer
    assert any(
        np.array_equal(onnx.numpy_helper.to_array(each), state["label.weight"]) for each in tensor
    )
    card = (tmp_path / "mine.md").read_text()
    assert f"| network | {mine}:generator |" in card
    assert "cgan-train" not in card
    assert "recipe" not in card
    assert str(tmp_path) not in (tmp_path / "mine.onnx").read_bytes().decode(errors="replace")


def test_the_quality_gate_compares_a_module_with_its_file(
    call: Command,
    mine: str,
    tmp_path: Path,
    classifier_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quality_gate, "BATCH_IMAGES", 1000)
    monkeypatch.setattr(quality_gate, "MAX_IMAGES", 1000)
    words: list[object] = [f"{mine}:Digits", "digits.onnx", "--noise-dim", 6, "--classes", 10]
    words += ["--precision", "fp16", "--max-accuracy-loss", 50]
    refused = call("cgan-export", *words)
    assert refused.returncode == 1
    assert b"does not say what it was trained on; name its dataset with --dataset" in refused.stderr
    done = call(
        "cgan-export", *words, "--dataset", "optdigits", "--cache-dir", classifier_cache, "--json"
    )
    assert done.returncode == 0, done.stderr
    info = ImageGenerator(tmp_path / "digits.onnx").info
    assert (info.verification["quality_gate"], info.dataset) == ("passed", "optdigits")


@pytest.fixture
def trained(mine: str, tmp_path: Path) -> str:
    """The name of the user's class of the generator in model.pt."""
    kind, shape = f"{mine}:Trained", (3, 8, 12)
    torch.manual_seed(2)
    generator = build_generator(CustomGenerator(kind=kind, arguments={"units": 40}), 6, 3, shape)
    model = Model(
        generator=generator,
        class_names=("cat", "dog", "ox"),
        dataset="pets",
        recipe={"generator": generator.settings.to_dict()},
        training={"epochs": 1, "versions": {}},
    )
    save_model(model, tmp_path / "model.pt")
    del sys.modules[mine]
    return kind


def test_a_trained_generator_of_the_user_is_exported_if_its_code_is_named(
    call: Command, trained: str, tmp_path: Path
) -> None:
    words = (word for each in ("fp32", "fp16", "int8") for word in ("--precision", each))
    options = ("--generator", trained, "--no-quality-gate", *words)
    done = call("cgan-export", "model.pt", "mine.onnx", *options)
    assert done.returncode == 0, done.stderr
    model = load_model(tmp_path / "model.pt", generator=trained)
    noise, labels = torch.from_numpy(standard_normal(4, 0, 6, 6)), [0, 1, 2] * 2
    with torch.inference_mode():
        expected = to_uint8(model.generator(noise, torch.tensor(labels))).numpy().astype(int)
    for precision, limit in {"fp32": 1, "fp16": 1, "int8": 40}.items():
        generator = ImageGenerator(tmp_path / f"mine-{precision}.onnx")
        assert generator.info.bit_exact is False
        assert np.abs(generator.generate(labels, seed=4) - expected).max() <= limit


@pytest.mark.parametrize("words", [(), ("--generator", "other:Trained")])
def test_the_code_that_a_model_names_is_not_imported(
    call: Command, trained: str, tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = call("cgan-export", "model.pt", "mine.onnx", *words)
    assert done.returncode == 1
    assert f"use --generator {trained}".encode() in done.stderr
    assert trained.partition(":")[0] not in sys.modules
    assert not (tmp_path / "mine.onnx").exists()


@pytest.mark.parametrize(
    ("name", "options", "code", "message"),
    [
        ("generator", ["--classes", "3"], 2, "needs --noise-dim"),
        ("generator", ["--noise-dim", "6"], 2, "needs either --class-names"),
        ("generator", [*OPTIONS, "--classes", "3"], 2, "needs either --class-names"),
        ("generator", [*OPTIONS, "--value-range", "1", "-1"], 2, "two finite numbers LOW < HIGH"),
        ("generator", [*OPTIONS, "--value-range", "nan", "1"], 2, "two finite numbers LOW < HIGH"),
        ("generator", [*OPTIONS, "--generator", "a:B"], 2, "--generator is for a model.pt"),
        ("generator", ["--noise-dim", "6", "--class-names", "none.txt"], 1, "no file none.txt"),
        ("generator", ["--noise-dim", "6", "--class-names", "few.txt"], 1, "line 2 of few.txt is"),
        ("generator", [*OPTIONS, "--weights", "none.pt"], 1, "cannot read none.pt: No such file"),
        ("generator", [*OPTIONS, "--weights", "few.txt"], 1, "few.txt is not a state dict of"),
        ("generator", [*OPTIONS, "--weights", "list.pt"], 1, "list.pt holds a list, not a state"),
        ("generator", [*OPTIONS, "--weights", "other.pt"], 1, "other.pt do not fit mine_"),
        ("generator", ["--noise-dim", "5", "--classes", "3"], 1, "shapes cannot be multiplied"),
        ("training", OPTIONS, 1, "in training mode; call .eval()"),
        ("number", OPTIONS, 1, "is a int; give an nn.Module"),
        ("nothing", OPTIONS, 1, "has no 'nothing'"),
    ],
)
def test_a_bad_module_gives_one_line_and_no_file(
    call: Command, mine: str, tmp_path: Path, name: str, options: list[str], code: int, message: str
) -> None:
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    done = call("cgan-export", f"{mine}:{name}", "mine.onnx", *options)
    assert (done.returncode, done.stdout) == (code, b"")
    *notes, line = done.stderr.decode().splitlines()
    assert all(each.startswith("checking ") for each in notes)
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "mine.onnx").exists()


def test_options_of_a_module_need_a_module(call: Command, run_dir: Path) -> None:
    done = call("cgan-export", run_dir, "out.onnx", "--noise-dim", 6)
    assert done.returncode == 2
    assert b"--noise-dim is for a module such as my_module:generator" in done.stderr


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
