"""The command cgan-train."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import Command
from PIL import Image

import cgan_training
from cgan_training.engine import augmentation
from cgan_training.model_file import load_model
from cgan_training.recipe import load_recipe, recipe_names
from cgan_training.run import read_metrics

# Nothing listens at this address, so that a download fails at once.
NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
WITHOUT_TORCH = """
import sys
from cgan_training import CheckpointError, Recipe, load_recipe, recipe_names
from cgan_training.cli.train import command
load_recipe("edge")
command.main(["--help"], standalone_mode=False)
print(sorted({"torch", "torchvision", "numpy", "sklearn"} & set(sys.modules)))
"""


def test_recipes_and_help_do_not_import_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_package_exports_its_public_names() -> None:
    for name in cgan_training.__all__:
        assert getattr(cgan_training, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'resume'"):
        _ = cgan_training.resume


def test_a_run_can_be_repeated_from_its_config_and_resumed(
    call: Command, tmp_path: Path, small_toml: Path
) -> None:
    data = ["--dataset", "optdigits", "--threads", 1]
    runs: list[list[object]] = [
        ["--recipe", small_toml, *data, "--run-dir", "one"],
        ["--recipe", "one/config.json", *data, "--run-dir", "two"],
        ["--recipe", small_toml, *data, "--run-dir", "three", "--minutes", 1e-6],
        ["--resume", "three"],
    ]
    for arguments in runs:
        done = call("cgan-train", *arguments)
        assert done.returncode == 0, done.stderr
    assert done.stdout == b"three/model.pt\n"
    plan, resumed, one, two, *_ = done.stderr.decode().splitlines()
    assert plan.startswith("recipe small: 2 epochs on 1,500 images (scikit-learn")
    assert plan.endswith(" on cpu, into three")
    assert resumed == "resumed at epoch 1, step 1"
    assert (one[:19], two[:19]) == ("epoch 1/2  loss G 0", "epoch 2/2  loss G 0")
    hashes = {load_model(tmp_path / name).weights_sha256 for name in ("one", "two", "three")}
    assert len(hashes) == 1
    done = call("cgan-train", "--resume", "three", "--epochs", 5)
    assert done.returncode == 1
    assert b"has a different recipe (epochs is 2, not 5)" in done.stderr
    assert b"train its networks further with --start-from three and another" in done.stderr
    done = call("cgan-train", "--resume", "three")
    assert b"the run is complete, so only its model and pictures are written" in done.stderr


def test_a_resumed_run_keeps_its_options(
    call: Command, tmp_path: Path, small_toml: Path, classifier_cache: Path
) -> None:
    run = ["--recipe", small_toml, "--dataset", "optdigits", "--threads", 1, "--run-dir", "run"]
    for arguments in (
        [*run, "--minutes", 1e-6, "--eval-every", 1, "--tensorboard"],
        ["--resume", "run"],
    ):
        done = call("cgan-train", *arguments, "--cache-dir", classifier_cache)
        assert done.returncode == 0, done.stderr
    last = read_metrics(tmp_path / "run")[-1]
    assert {"label_accuracy", "frechet", "recall", "coverage", "density"} <= last.keys()
    assert list((tmp_path / "run" / "tensorboard").iterdir())


@pytest.mark.parametrize(
    ("dataset", "run_dir"),
    [("optdigits", "runs/optdigits"), ("my shapes_2.0", "runs/my-shapes_2.0"), ("a.NPZ", "runs/a")],
)
def test_a_run_is_named_after_its_dataset(
    call: Command, tmp_path: Path, small_toml: Path, dataset: str, run_dir: str
) -> None:
    images = np.arange(40 * 64, dtype=np.uint32).astype(np.uint8).reshape(40, 8, 8)
    for number, image in enumerate(images[:20] if " " in dataset else []):
        path = tmp_path / dataset / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    if dataset == "a.NPZ":
        with (tmp_path / dataset).open("wb") as file:
            np.savez(file, train_images=images, train_labels=np.arange(40) % 2)
    run = ["--recipe", small_toml, "--threads", 1, "--minutes", 1e-6, "--set", "batch_size=10"]
    done = call("cgan-train", *run, "--dataset", dataset)
    assert (done.returncode, done.stdout.decode()) == (0, f"{run_dir}/model.pt\n"), done.stderr
    done = call("cgan-train", *run, "--dataset", dataset)
    assert done.returncode == 1
    assert f"error: {run_dir} already contains a run; continue it with" in done.stderr.decode()


def test_recipes_are_listed(call: Command) -> None:
    listed = call("cgan-train", "--list-recipes").stdout
    assert listed.decode().splitlines() == list(recipe_names())


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    call: Command, tmp_path: Path, small_toml: Path, run_dir: Path
) -> None:
    dry_run = ["--recipe", small_toml, "--dataset", "optdigits", "--dry-run"]
    done = call("cgan-train", *dry_run, "--start-from", run_dir)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert max(map(len, lines)) <= 80
    rows = dict(line.strip().split("  ", 1) for line in lines if "  " in line.strip())
    plan = {key: value.strip() for key, value in rows.items()}
    assert plan["images"] == "1,500 of 28 x 28 pixels (height x width), gray"
    assert plan["images per class"] == "smallest 146 (8), median 151, largest 153 (3)"
    assert plan["mean pixel value"] == "40.2 of 255"
    assert plan["batch_size"] == "100"
    assert plan["generator.hidden"] == "[32, 48]"
    assert plan["steps"] == "30 (15 per epoch)"
    assert plan["training time"].startswith("less than 1 minute")
    assert plan["speed"].split()[1] == "µs"
    assert lines[-2:] == ["Adjustments for this dataset", "  - none"]
    done = call("cgan-train", *dry_run, "--start-from", "none")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.endswith(b"none contains no run (no config.json); check the path\n")
    assert list(tmp_path.iterdir()) == [small_toml]


def test_the_default_recipe_suits_the_images(call: Command) -> None:
    done = call("cgan-train", "--dataset", "optdigits", "--threads", 1, "--dry-run")
    assert done.returncode == 0, done.stderr
    (choice,) = done.stderr.decode().splitlines()
    assert choice.startswith("using the recipe edge: the images have little texture")
    assert b"\nRecipe edge\n" in done.stdout


def test_keys_of_the_recipe_can_be_set(call: Command, tmp_path: Path, small_toml: Path) -> None:
    keys = ["batch_size=50", "generator.hidden=[16, 24]", "name=my own", "learning_rate=.001"]
    words = [word for key in keys for word in ("--set", key)]
    run = ["--recipe", small_toml, "--dataset", "optdigits", "--threads", 1, *words]
    plan = call("cgan-train", *run, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert b"  batch_size                        50\n" in plan.stdout
    done = call("cgan-train", *run, "--minutes", 1e-6, "--epochs", 3, "--run-dir", "run")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(b"recipe my own: 3 epochs on 1,500 images (scikit-learn")
    recipe = json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]
    unchanged = load_recipe(str(small_toml)).to_dict()
    unchanged |= {"name": "my own", "batch_size": 50, "learning_rate": 0.001, "epochs": 3}
    assert recipe == {**unchanged, "generator": {**unchanged["generator"], "hidden": [16, 24]}}


def test_a_finished_run_prints_its_losses_pictures_and_the_next_commands(
    call: Command, tmp_path: Path, small_toml: Path
) -> None:
    options = ["--recipe", small_toml, "--dataset", "optdigits", "--threads", 1]
    done = call("cgan-train", *options, "--minutes", 1e-6, "--run-dir", "-my runs/it's")
    assert done.returncode == 0, done.stderr
    finished, pictures, following, export, generate = done.stderr.decode().splitlines()[-5:]
    losses = r"loss G \d\.\d{3} D \d\.\d{3}"
    assert re.fullmatch(rf"finished after \d\d:\d\d in epoch 1/2: {losses}", finished)
    title, _, paths = pictures.partition(": ")
    assert (title, following) == ("pictures", "next:")
    for path in paths.split(", "):
        assert (tmp_path / shlex.split(path)[0]).exists()
    for line in (export, generate):
        done = call(*shlex.split(line))
        assert done.returncode == 0, done.stderr
    assert done.stdout.decode().partition(".png")[1]


def test_a_recipe_that_continues_a_training_warns_without_start_from(
    call: Command, small_toml: Path, tmp_path: Path
) -> None:
    (tmp_path / "last.toml").write_text(small_toml.read_text().replace("small", "edge-finish"))
    options = ["--dataset", "optdigits", "--recipe", "last.toml", "--dry-run"]
    done = call("cgan-train", *options)
    assert done.stderr.startswith(b"WARNING: the recipe edge-finish is meant to continue a run of ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--keep-every 3", "--keep-every 3 keeps no generator, because the run has 2 epochs; use "),
        ("--set lr_restarts=[1,2]", "has no effect at epoch 2, because the run has 2 epochs; "),
        ("--set lr_restarts=[1,2,9] --epochs 1", "epoch 1, 2, 9, because the run has 1 epoch; "),
        ("--set loss.r1_interval=4", "loss.r1_interval has no effect, because loss.r1_weight is 0"),
        ("--set batch_size=2000", "batch_size 2,000 has no effect, because the dataset has 1,500 "),
    ],
)
def test_a_setting_without_effect_is_one_warning(
    call: Command, small_toml: Path, words: str, message: str
) -> None:
    run = ["--recipe", small_toml, "--dataset", "optdigits", "--threads", 1, "--dry-run"]
    (warning,) = call("cgan-train", *run, *words.split()).stderr.decode().splitlines()
    assert warning.startswith("WARNING: ")
    assert message in warning
    effective = ["--keep-every", 2, "--set", "lr_restarts=[1]", "--set", "batch_size=1500"]
    assert call("cgan-train", *run, *effective).stderr == b""


def test_augmentation_without_effect_is_a_warning(
    call: Command, small_toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augmentation, "SMALL_DATASET", 1500)
    run = ["--recipe", small_toml, "--dataset", "optdigits", "--threads", 1, "--dry-run"]
    done = call("cgan-train", *run, "--set", "augment_probability=.5")
    assert done.stderr.startswith(b"WARNING: augment_probability has no effect, because the data")


def test_training_without_mnist_prints_a_warning(call: Command, small_toml: Path) -> None:
    arguments = ["--recipe", small_toml, "--data-dir", "data"]
    done = call("cgan-train", *arguments, CGAN_DATA_DIR="", **NO_NETWORK)
    assert done.returncode == 0, done.stderr
    assert b"WARNING: MNIST is not in data/MNIST/raw and cannot be downloaded" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--minutes", "nan"], 2, "--minutes must be a positive number, got nan"),
        (["--checkpoint-minutes", "0"], 2, "--checkpoint-minutes must be a positive number"),
        (["--keep-every", str(2**31)], 2, "--keep-every must be a whole number from 0 to"),
        (["--dataset", "cifar"], 2, "there is no dataset or folder 'cifar'; "),
        (["--resume", "run", "--start-from", "run"], 2, "; give one of them"),
        (["--resume", "run", "--dry-run"], 2, "; give one of them"),
        (["--resume", "run", "--set", "epochs=3"], 2, "; omit --set, or begin a new run"),
        (["--resume", "run", "--run-dir", "new"], 2, "in its own directory, run; omit --run-dir"),
        (["--resume", "run/config.json"], 2, "is a file; write --resume run "),
        (["--start-from", "run/config.json"], 2, "is a file; write --start-from run "),
        (["mnist"], 2, "cgan-train takes only options, got 'mnist'; name images with --dataset, "),
        (["--epochs", "3", "--set", "epochs=3"], 2, "are the same; give one of them"),
        (["--set", "epochs"], 2, "--set 'epochs' is invalid: it is not of the form KEY=VALUE; "),
        (["--set", f"name={'x' * 2**14}"], 2, "it has more than 16,384 characters; "),
        (["--lr", ".1"], 2, "--lr is a key of the recipe, not an option; write --set learning_ra"),
        (["-lr=.1"], 2, "not an option; write --set learning_rate=.1 "),
        (["--batch-size"], 2, "not an option; write --set batch_size=VALUE "),
        (["--hidden", "[64]"], 2, "'generator.hidden=[64]' or --set 'discriminator.hidden=[64]' "),
        (["--foo", "3"], 2, "No such option '--foo'; see cgan-train --help"),
        (["--recipe", "edge", "--set", "lr=3"], 1, "unknown key 'lr'; use learning_rate"),
        (["--recipe", "edge", "--set", "optimizer.lr=3"], 1, "the tables are generator, discr"),
        (["--recipe", "edge", "--set", "epochs.lr=3"], 1, "unknown key 'epochs.lr'; the tables"),
        (["--recipe", "edge", "--set", "loss.r1=3"], 1, "the keys are loss.r1_weight, "),
        (["--recipe", "edge", "--set", "batch_size=0"], 1, "batch_size is 0; it must be 1 to"),
        (["--dataset", "none/", "--set", "seed=x"], 1, "seed is 'x'; it must be an integer"),
        (["--dataset", "none/", "--set", "sead=3"], 1, "unknown key 'sead'; the keys are name, "),
        (["--dataset", "none/", "--set", "generator.channels=9"], 1, "there is no folder none"),
        (
            ["--dataset", "optdigits", "--set", "generator.channels=9"],
            1,
            "recipe edge with --set: ",
        ),
        (["--resume", "none"], 1, "none contains no run"),
        (["--recipe", "sead"], 1, "unknown recipe 'sead'; "),
        (["--dataset", "mnist"], 1, "cannot be downloaded"),
        (["--dataset", "optdigits", "--run-dir", "run"], 1, "run already contains a run; "),
        (["--dataset", "optdigits", "--run-dir", "file/run"], 1, "cannot create file/run: Not a"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else None,
)
def test_wrong_input_gives_one_line_and_an_exit_code(
    call: Command, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "file").touch()
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    done = call("cgan-train", *arguments, CGAN_DATA_DIR="", **NO_NETWORK)
    assert (done.returncode, done.stdout) == (code, b"")
    *progress, error = done.stderr.decode().splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert all(line.startswith("using the recipe edge: ") for line in progress)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
