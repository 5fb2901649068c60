"""Classes by name."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from cli_runs import HEIGHT, WIDTH, Command, Draw, differ_by_a_grey_level_at_most, pixels, the_error

from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file.contract import ModelInfo

NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "+",
    "お茶",
    "Shirt",
    "7",
    "a",
    "Ankle boot",
)


@pytest.fixture
def named_model(make_model: Callable[..., Path], info: ModelInfo, tmp_path: Path) -> Path:
    """The tiny model with names that are no digits, but for one."""
    metadata = dataclasses.replace(info, class_names=NAMES).to_metadata()
    return make_model(tmp_path / "named.onnx", metadata)


@pytest.mark.parametrize(
    ("arguments", "labels", "name"),
    [
        (["--label", "Ankle boot"], [9], "ankle-boot-seed-7.png"),
        (["--label", "ankle BOOT"], [9], "ankle-boot-seed-7.png"),
        (["--label", "T-shirt/top"], [0], "t-shirt-top-seed-7.png"),
        (["--label", "お茶"], [5], "お茶-seed-7.png"),
        (["--label", "+"], [4], "class-seed-7.png"),
        (["--label", "7"], [7], "digit-7-seed-7.png"),
        (["--digit", 7], [7], "digit-7-seed-7.png"),
        (["--digits", "77"], [7, 7], "digits-77-seed-7.png"),
        (["--label", "Trouser", "--label", "7"], [1, 7], "trouser-7-seed-7.png"),
        (
            ["--label", "Trouser", "--label", "Ankle boot", "--label", "Dress"],
            [1, 9, 3],
            "trouser-ankle-boot-d-seed-7.png",
        ),
        (
            ["--label", "Shirt", "--label", "Pullover", "--label", "Dress", "--label", "Shirt"],
            [6, 2, 3, 6],
            "shirt-pullover-dress-seed-7.png",
        ),
        ([], range(10), "t-shirt-top-trouser-seed-7.png"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_classes_by_name(
    draw: Draw,
    folder: Path,
    generator: ImageGenerator,
    named_model: Path,
    arguments: list[object],
    labels: Sequence[int],
    name: str,
) -> None:
    done = draw("--model", named_model, *arguments, "--seed", 7)
    assert done.stdout == f"{name}  seed 7\n"
    images = generator.generate(list(labels), seed=7)
    wanted = np.concatenate(list(images[:, 0]), axis=1)
    assert differ_by_a_grey_level_at_most(pixels(folder / name), wanted)


@pytest.mark.parametrize("classes", [1, 3, 8])
def test_one_of_each_class_of_the_model(
    draw: Draw,
    folder: Path,
    make_model: Callable[..., Path],
    info: ModelInfo,
    tmp_path: Path,
    classes: int,
) -> None:
    golden = dataclasses.replace(
        info.golden, labels=(0,), images=info.golden.images[: HEIGHT * WIDTH]
    )
    few = dataclasses.replace(info, class_names=NAMES[:classes], golden=golden)
    model = make_model(tmp_path / "few.onnx", few.to_metadata())
    draw("--model", model, "--count", 2, "--output", "each.npy")
    draw("--model", model, "--count", 2, "--output", "each.png")
    assert len(np.load(folder / "each.npy")) == 2 * classes
    rows = 1 if classes == 1 else 2
    assert pixels(folder / "each.png").shape == (rows * HEIGHT, max(classes, 2) * WIDTH)


def test_classes_of_two_figures(
    draw: Draw, make_model: Callable[..., Path], info: ModelInfo, tmp_path: Path
) -> None:
    names = tuple(map(str, range(5, 15)))
    metadata = dataclasses.replace(info, class_names=names).to_metadata()
    model = make_model(tmp_path / "numbers.onnx", metadata)
    assert draw("--model", model, "--label", 12, "--seed", 7).stdout == "12-seed-7.png  seed 7\n"
    assert draw("--model", model, "--seed", 7).stdout == "5-6-7-8-9-10-11-12-1-seed-7.png  seed 7\n"


@pytest.mark.parametrize(
    ("arguments", "name", "end"),
    [
        (["--label", "Trouser", "--label", "boots"], "boots", ""),
        (["--label", ""], "", ""),
        (["--digit", "9"], "9", ", with --label"),
        (["--digits", "73"], "3", ", with --label"),
    ],
)
def test_a_class_that_the_model_lacks(
    cgan_run: Command,
    folder: Path,
    named_model: Path,
    arguments: list[str],
    name: str,
    end: str,
) -> None:
    done = cgan_run("--model", named_model, *arguments, PYTHONIOENCODING="utf-8")
    names = ", ".join(map(repr, NAMES))
    wanted = f"error: the model has no class {name!r}; choose from {names}{end}"
    assert the_error(done) == wanted
    assert done.returncode == 1
    assert not list(folder.iterdir())
