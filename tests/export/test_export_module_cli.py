"""cgan-export with a module of the user, or a generator that the user wrote."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from commands import Command

from cgan_export.evaluation import quality_gate
from cgan_runtime import ImageGenerator
from cgan_runtime.noise import standard_normal
from cgan_training.model_file import Model, load_model, save_model
from cgan_training.networks import build_generator, to_uint8
from cgan_training.recipe import CustomGeneratorSettings

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
    """Write a user's module to the current folder; return its name."""
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
    monkeypatch.setattr(quality_gate, "TEST_INTERVAL", 1000)
    monkeypatch.setattr(quality_gate, "MAX_PAIRS", 1000)
    words: list[object] = [f"{mine}:Digits", "digits.onnx", "--noise-dim", 6, "--classes", 10]
    words += ["--precision", "fp16", "--max-accuracy-loss", 50]
    refused = call("cgan-export", *words)
    assert refused.returncode == 1
    assert b"does not record its training dataset; name it with --dataset" in refused.stderr
    done = call(
        "cgan-export", *words, "--dataset", "optdigits", "--cache-dir", classifier_cache, "--json"
    )
    assert done.returncode == 0, done.stderr
    info = ImageGenerator(tmp_path / "digits.onnx").info
    assert (info.verification["quality_gate"], info.dataset) == ("passed", "optdigits")


@pytest.fixture
def trained(mine: str, tmp_path: Path) -> str:
    """Save a model.pt with a generator class of the user; return the name of the class."""
    kind, shape = f"{mine}:Trained", (3, 8, 12)
    torch.manual_seed(2)
    generator = build_generator(
        CustomGeneratorSettings(kind=kind, arguments={"units": 40}), 6, 3, shape
    )
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


def test_the_code_that_a_model_names_is_not_imported(
    call: Command, trained: str, tmp_path: Path
) -> None:
    done = call("cgan-export", "model.pt", "mine.onnx", "--generator", "other:Trained")
    assert done.returncode == 1
    assert f"add --generator {trained}".encode() in done.stderr
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
    assert b"--noise-dim requires MODEL in the form my_module:generator, got " in done.stderr


def test_json_notes_that_labels_are_left_out(call: Command, mine: str) -> None:
    words = ("--noise-dim", "6", "--classes", "2", "--precision", "int8", "--no-quality-gate")
    done = call("cgan-export", f"{mine}:generator", "mine.onnx", *words, "--json", "-q")
    assert (done.returncode, done.stderr) == (0, b"")
    (file,) = json.loads(done.stdout)
    assert "the network has 3 labels, but only the first 2 are exported" in file["notes"]
    assert any("may be slower than fp32" in note for note in file["notes"])


def test_a_mistake_in_forward_is_located(call: Command, mine: str, tmp_path: Path) -> None:
    path = tmp_path / f"{mine}.py"
    path.write_text(path.read_text().replace("self.layer(z) +", "self.layer.chunk(2) +", 1))
    done = call("cgan-export", f"{mine}:generator", "mine.onnx", *OPTIONS)
    message = f"forward(z, y) of {mine}:generator fails at {mine}.py:11 for noise [1, 6]"
    assert message in done.stderr.decode()
    assert "no attribute 'chunk'; correct it" in done.stderr.decode()


def test_a_state_dict_or_source_file_as_model_gets_a_hint(call: Command, tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(2, 2)}, tmp_path / "mine.pt")
    torch.jit.save(torch.jit.script(torch.nn.Identity()), tmp_path / "compiled.pt")
    command = "cgan-export my_module:generator OUTPUT --weights mine.pt --noise-dim N"
    for words, message in (
        (["mine.pt"], command),
        (["mine.pt", "out.onnx", "--noise-dim", "6"], command),
        (["compiled.pt"], "it is TorchScript"),
        (["mine.py:make", "out.onnx", "--noise-dim", "6"], "write mine:make"),
    ):
        done = call("cgan-export", *words, *(["out.onnx"] if len(words) == 1 else []))
        assert done.returncode in (1, 2)
        assert message in done.stderr.decode()
