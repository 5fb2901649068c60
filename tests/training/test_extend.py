"""The examples of docs/extend.md: networks, a loss and a dataset of the user."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from cgan_training import ModelFileError, UserCodeError, load_model
from cgan_training.cli.train import command
from cgan_training.data import load_dataset
from cgan_training.errors import RecipeError, TrainingError
from cgan_training.losses import adversarial_loss
from cgan_training.networks import build_discriminator, build_generator
from cgan_training.recipe import (
    CustomDiscriminatorSettings,
    CustomGeneratorSettings,
    CustomLossSettings,
    load_recipe,
    recipe_from_dict,
)

PAGE = Path(__file__).parents[2] / "docs" / "extend.md"
GENERATOR = "my_gan:MyGenerator"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of the page; the recipe is shortened to a few steps."""
    path = tmp_path_factory.mktemp("extend")
    blocks = r"```(?:toml|python)\n(# (\S+\.(?:toml|py))(, continued)?\n.*?)```"
    for block, name, continued in re.findall(blocks, PAGE.read_text(), re.DOTALL):
        with (path / name).open("a" if continued else "w") as file:
            file.write(block)
    recipe = (path / "my.toml").read_text()
    recipe = recipe.replace("epochs = 20", "epochs = 2").replace(
        "batch_size = 64", "batch_size = 500"
    )
    (path / "my.toml").write_text(recipe.replace("10_000", "2_000"))
    return path


@pytest.fixture(autouse=True)
def in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(folder)
    yield
    for name in ("my_gan", "my_images"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = cgan_train("--recipe", "my.toml", "--run-dir", "run")
    assert result.exit_code == 0, result.output
    assert f"  cgan-export --generator {GENERATOR} run/model.pt run/model.onnx" in result.output
    return folder / "run"


def cgan_train(*options: str) -> Result:
    dataset = (
        () if "--dataset" in options or "--resume" in options else ("--dataset", "my_images:load")
    )
    threads = str(torch.get_num_threads())
    return CliRunner().invoke(
        command, [*options, *dataset, "--device", "cpu", "--threads", threads]
    )


def test_the_examples_train_and_are_loaded_if_they_are_named(run: Path) -> None:
    model = load_model(run, generator=GENERATOR)
    assert model.recipe["generator"] == {"kind": GENERATOR, "units": 32}
    assert model.class_names == tuple("ABCD")
    images = model.generator(torch.randn(8, 32), torch.arange(8) % 4)
    assert images.shape == (8, 3, 16, 16)
    assert images.std() > 0.1
    for name in ("grid.png", "samples.webp", "curves.png"):
        assert (run / name).exists()


@pytest.mark.parametrize("named", [None, "my_gan:MyDiscriminator", "other:MyGenerator"])
def test_a_model_file_alone_imports_nothing(run: Path, named: str | None) -> None:
    assert "my_gan" not in sys.modules
    with pytest.raises(ModelFileError, match=f"add --generator {GENERATOR}"):
        load_model(run, generator=named)
    assert "my_gan" not in sys.modules


def test_a_run_is_resumed_only_if_its_code_is_named(folder: Path) -> None:
    options = ("--recipe", "my.toml", "--run-dir", "resumed", "--minutes", "0.0001")
    assert cgan_train(*options).exit_code == 0
    saved = folder / "resumed" / "config.json"
    for name in ("my_gan", "my_images"):
        sys.modules.pop(name, None)
    result = cgan_train("--resume", "resumed")
    assert isinstance(result.exception, UserCodeError)
    command_line = f"--recipe {Path('resumed') / 'config.json'} --dataset my_images:load"
    assert str(result.exception).endswith(f"; add {command_line}")
    assert not {"my_gan", "my_images"} & sys.modules.keys()
    half_named = cgan_train("--resume", "resumed", "--recipe", str(saved))
    assert "uses your code my_images:load," in str(half_named.exception)
    result = cgan_train("--resume", "resumed", *command_line.split())
    assert result.exit_code == 0, result.output
    assert (
        json.loads((folder / "resumed" / "metrics.jsonl").read_text().splitlines()[-1])["epoch"]
        == 2
    )


def test_a_run_starts_from_another_only_if_its_code_is_named(run: Path) -> None:
    result = cgan_train("--start-from", str(run), "--run-dir", "next", "--dry-run")
    assert isinstance(result.exception, UserCodeError)
    assert str(result.exception).startswith(f"the run in {run} uses your code my_gan:MyGenerator")
    assert str(result.exception).endswith(f"; add --recipe {run / 'config.json'}")
    assert "my_gan" not in sys.modules
    recipe = ("--recipe", str(run / "config.json"))
    assert cgan_train("--start-from", str(run), *recipe, "--dry-run").exit_code == 0


def test_a_dry_run_prints_the_arguments() -> None:
    result = cgan_train("--recipe", "my.toml", "--dry-run")
    assert re.search(rf"generator\.kind +{GENERATOR}\n +generator\.units +32\n", result.output)


def test_the_test_part_comes_from_the_same_function() -> None:
    train, test = (load_dataset("my_images:load", Path(), train=each)[0] for each in (True, False))
    assert train.image_shape == test.image_shape == (3, 16, 16)
    assert (len(train.labels), len(test.labels)) == (2000, 400)


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        ("generator", {"height": 3}, "generator.height is set, but cgan-train passes height to"),
        ("generator", {"depth": float("nan")}, "generator.depth is nan; it must be a string"),
        (
            "generator",
            {"depth": [[[[[[[[1]]]]]]]]},
            ".0 is nested too deeply; use at most 8 levels",
        ),
        ("loss", {"r1_weight": -1.0}, "loss.r1_weight is -1.0; it must be 0 to"),
        ("loss", {"classification_weight": 1.0}, "discriminator has no features"),
        ("", {"noise_std": 1.1}, "noise_std is 1.1, but a 'my_gan:"),
        ("", {"rare_pixel_threshold": 0.1}, "generator has no bias for each pixel"),
    ],
)
def test_a_recipe_that_needs_a_built_in_network_is_rejected(
    table: str, changes: dict[str, Any], message: str
) -> None:
    values = load_recipe("my.toml").to_dict()
    (values[table] if table else values).update(changes)
    with pytest.raises(RecipeError, match=re.escape(message)):
        recipe_from_dict(values, "my.toml")


WRONG = """
import torch
from torch import nn

class Flat(nn.Module):
    def __init__(self, classes, channels, height, width, noise_dim=1):
        super().__init__()
        self.layer = nn.Linear(noise_dim, 5)
    def forward(self, noise, label):
        return self.layer(noise)

class Half(Flat):
    def forward(self, noise, label):
        return torch.zeros(2, 1, 8, 8, dtype=torch.float16)

class Pair(Flat):
    def forward(self, noise, label):
        return noise, label

class Failing(Flat):
    def forward(self, noise, label):
        raise ValueError("two\\nlines")

class Empty(nn.Module):
    def __init__(self, **sizes):
        super().__init__()

def function(**sizes):
    return None

class Vector:
    def generator_loss(self, fake):
        return fake
    def discriminator_loss(self, real, fake):
        return real

def floats(train):
    return torch.zeros(2, 1, 8, 8), [0, 1], ["a", "b"]

def two_axes(train):
    return torch.zeros(2, 1, 8, 8).byte(), [[0, 1]], ["a", "b"]

def twice(train):
    return torch.zeros(2, 1, 8, 8).byte(), [0, 1], ["a", "a"]

def no_names(train):
    return torch.zeros(2, 1, 8, 8).byte(), [0, 1], []

def nothing(train):
    return None
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Flat",
            "returns float32 [2, 5] for inputs of the shapes [2, 4] and [2]; its forward() must",
        ),
        ("Half", "returns float16 [2, 1, 8, 8] for inputs"),
        ("Pair", "returns tuple for inputs"),
        ("Failing", "fails for inputs of the shapes [2, 4] and [2] (ValueError: two lines)"),
        ("Empty", "has no parameters to train"),
        ("function", "returns NoneType when it is called; it must return a torch.nn.Module"),
        ("Missing", "has no 'Missing'"),
    ],
)
def test_an_invalid_network_is_rejected_in_one_line(folder: Path, name: str, message: str) -> None:
    (folder / "wrong.py").write_text(WRONG)
    with pytest.raises(UserCodeError) as caught:
        build_generator(CustomGeneratorSettings(f"wrong:{name}"), 4, 3, (1, 8, 8))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserCodeError, match=r"depth=3 \(TypeError"):
        build_discriminator(CustomDiscriminatorSettings("wrong:Flat", {"depth": 3}), 3, (1, 8, 8))


@pytest.mark.parametrize("name", ["Vector", "Flat"])
def test_an_invalid_loss_is_rejected(folder: Path, name: str) -> None:
    (folder / "wrong.py").write_text(WRONG)
    with pytest.raises(UserCodeError, match=f"the loss wrong:{name}"):
        adversarial_loss(CustomLossSettings(kind=f"wrong:{name}"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("floats", "the images of wrong:floats are float32 [2, 1, 8, 8]; they must be uint8"),
        ("two_axes", "the labels of wrong:two_axes are int64 [1, 2]; they must be integers [n]"),
        ("twice", "'a' is used twice"),
        ("no_names", "the class names of wrong:no_names: there are 0; give 1 to 10"),
        ("nothing", "does not return images, labels and class names"),
    ],
)
def test_an_invalid_dataset_is_rejected(folder: Path, name: str, message: str) -> None:
    (folder / "wrong.py").write_text(WRONG)
    with pytest.raises(TrainingError, match=re.escape(message)):
        load_dataset(f"wrong:{name}", Path())
