"""cgan-run with a model whose classes have names."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cli_runs import HEIGHT, WIDTH, error_line, is_close, read_png
from commands import Command

from cgan_runtime.cli.class_options import find_labels
from cgan_runtime.errors import InputError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.images.layout import grid
from cgan_runtime.model_file.contract import ModelInfo

LONG = 60 * "木"  # 180 bytes in UTF-8
NAMES = ("T-shirt/top", "Trouser", "Coat", "café", "+", "お茶", LONG, "7", "12", "Boot A")
Named = Callable[..., Path]


@pytest.fixture
def named(make_model: Callable[..., Path], info: ModelInfo, tmp_path: Path) -> Named:
    """Write the tiny model with class names."""

    def write(names: Sequence[str] = NAMES) -> Path:
        image = info.golden.images[: HEIGHT * WIDTH]
        golden = dataclasses.replace(info.golden, labels=(0,), images=image)
        changed = dataclasses.replace(info, class_names=tuple(names), golden=golden)
        return make_model(tmp_path / "named.onnx", changed.to_metadata())

    return write


@pytest.mark.parametrize(
    ("arguments", "labels", "name"),
    [
        (["--label", "boot a"], [9], "boot-a-seed-7.png"),
        (["--label", "T-shirt/top"], [0], "t-shirt-top-seed-7.png"),
        (["--label", "お茶"], [5], "お茶-seed-7.png"),
        (["--label", "+"], [4], "class-seed-7.png"),
        (["--label", "12"], [8], "12-seed-7.png"),
        (["--label", "TROUSER", "--label", "cafe\u0301"], [1, 3], "trouser-café-seed-7.png"),
        (["--label", LONG], [6], f"{20 * '木'}-seed-7.png"),
        (["--digits", "77"], [7, 7], "digits-77-seed-7.png"),
        (["--label", "Trouser", "--label", "7"], [1, 7], "trouser-7-seed-7.png"),
        ([], range(10), "t-shirt-top-trouser-seed-7.png"),  # at most 20 characters of the names
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_classes_by_name(
    run: Command,
    folder: Path,
    generator: ImageGenerator,
    named: Named,
    arguments: list[object],
    labels: Sequence[int],
    name: str,
) -> None:
    done = run("--model", named(), *arguments, "--seed", 7)
    assert done.stdout.decode() == f"{name}  seed 7\n"
    expected = grid(generator.generate(list(labels), seed=7), len(labels))[..., 0]
    assert is_close(read_png(folder / name), expected)


@pytest.mark.parametrize(("classes", "shape"), [(1, (1, 2)), (3, (2, 3))])
def test_default_is_every_class(
    run: Command, folder: Path, named: Named, classes: int, shape: tuple[int, int]
) -> None:
    run("--model", named(NAMES[:classes]), "--count", 2, "--output", "a.png")
    assert read_png(folder / "a.png").shape == (shape[0] * HEIGHT, shape[1] * WIDTH)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(["--label", "7", "--label", "boots"], "boots"), (["--label", ""], ""), (["--digit", 9], "9")],
)
def test_unknown_classes_are_rejected(
    run: Command, folder: Path, named: Named, arguments: list[object], name: str
) -> None:
    done = run("--model", named(), *arguments)
    line = error_line(done)
    assert line.startswith(f"error: the model has no class {name!r}; ")
    assert all(repr(each) in line for each in NAMES)
    assert line.endswith("--label") == ("--label" not in arguments)
    assert done.returncode == 1
    assert not list(folder.iterdir())


def test_command_line_accepts_names_and_digits() -> None:
    names = ("Coat", "7", "Ankle boot")
    assert find_labels((), names, from_label_option=True) == [0, 1, 2]
    assert find_labels(("7", "Coat"), names, from_label_option=False) == [1, 0]
    with pytest.raises(InputError, match=r"no class '9'; .*'Ankle boot'$"):
        find_labels(("9",), names, from_label_option=True)
    with pytest.raises(InputError, match=r"no class '9'; .*'Ankle boot', with --label$"):
        find_labels(("9",), names, from_label_option=False)
