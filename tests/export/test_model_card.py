"""Model cards: escaped text, and commands that reproduce a training run."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cgan_export.evaluation.markdown import code, escape, shell_word
from cgan_export.evaluation.model_card import model_card
from cgan_export.metadata import model_info
from cgan_export.source.generator_source import source_of_model
from cgan_runtime import ImageGenerator, ModelInfo
from cgan_runtime.diagnostics.speed import Speed
from cgan_training.model_file import load_model
from cgan_training.recipe import load_recipe

HOSTILE = "a|b`c``\n# d\x1b[1m *e* <f> [g](h) _i_ \\ $x$"
Card = Callable[..., str]


@pytest.fixture
def card(onnx_file: Path) -> Card:
    """Return the card of the small model with these facts about its training."""

    def write(training: dict[str, Any] | None = None, **changes: Any) -> str:
        with ImageGenerator(onnx_file, "cpu", threads=1) as generator:
            facts = {**generator.info.training, **(training or {})}
            generator.info = replace(generator.info, training=facts, **changes)
            return model_card(generator, Speed(1e-5, 1e5), "sheet.png")

    return write


def command_of(card: str) -> list[str]:
    """Return the words of the last command in a card, as a shell reads them."""
    lines = [line for line in card.splitlines() if line.startswith("    ") and "--run-dir" in line]
    return shlex.split(lines[-1])


def built_in() -> dict[str, Any]:
    return {"recipe": load_recipe("edge").to_dict(), "training": {"epochs": 25}}


def test_a_complete_run_is_reproduced_by_its_command(card: Card) -> None:
    text = card(**built_in())
    assert (
        "On the same machine with the same versions, this command reproduces the weights:" in text
    )
    words = command_of(text)
    assert words[:5] == ["cgan-train", "--recipe", "edge", "--dataset", "optdigits"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--epochs"] == "25"
    assert options["--precision"] == load_recipe("edge").precision
    assert {"--seed", "--threads", "--device", "--run-dir"} < options.keys()


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"seconds_limit": 90.0, "stopped_after_seconds": 90.1}, "--minutes"),
        ({"stopped_after_seconds": 90.1, "epochs": 0}, "--minutes"),
        ({"epochs": 0}, "ended after 0 of 25 epochs"),
        ({"device": "cuda"}, "only training on a CPU is reproducible"),
        ({"resumed": True}, "was resumed"),
    ],
)
def test_a_run_that_no_command_reproduces_is_not_claimed(
    card: Card, facts: dict[str, Any], reason: str
) -> None:
    values = built_in()
    text = card(**values | {"training": values["training"] | facts})
    assert "reproduces the weights" not in text
    start = "This command trains a similar model with other weights, because "
    (line,) = re.findall(f"^{start}.*:$", text, re.MULTILINE)
    assert reason in line
    words = command_of(text)
    assert words[words.index("--epochs") + 1] == "25"
    assert ("--minutes" in words) == ("--minutes" in reason)


def test_several_processes_are_started_by_torchrun(card: Card) -> None:
    values = built_in()
    text = card(**values | {"training": values["training"] | {"processes": 2}})
    words = command_of(text)
    assert words[:5] == ["torchrun", "--nproc-per-node", "2", "-m", "cgan_training"]


def test_a_recipe_from_a_file_is_saved_from_the_card(card: Card, tmp_path: Path) -> None:
    text = card()  # of the recipe "small"
    assert "Save the recipe of run 1 below as `recipe-1.json`." in text
    words = command_of(text)
    assert words[words.index("--recipe") + 1] == "recipe-1.json"
    (block,) = re.findall("^```json\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "recipe-1.json").write_text(block)
    recipe = load_recipe(str(tmp_path / "recipe-1.json"))
    assert recipe.to_dict() == json.loads(block)["recipe"]
    assert recipe.name == "small"


def test_a_folder_is_a_path_to_replace_quoted_for_the_shell(card: Card) -> None:
    text = card({"dataset_is_folder": True}, dataset="my shapes; rm")
    words = command_of(text)
    assert words[words.index("--dataset") + 1] == "path/to/my shapes; rm"
    assert "is a folder or a file; replace `path/to` with the folder that contains it" in text
    text = card({"dataset_is_folder": True}, dataset="mnist")
    assert command_of(text)[4] == "path/to/mnist"


def test_the_conversion_of_the_images_is_an_option(card: Card) -> None:
    values = built_in()
    facts = {"image_size": [28, 32], "grayscale": True}
    words = command_of(card(**values | {"training": values["training"] | facts}))
    assert words[words.index("--image-size") + 1] == "28x32"
    assert words[-1] == "--grayscale"
    assert "--image-size" not in command_of(card(**values))
    unknown = {"image_size": "32"}
    assert "cgan-train --" not in card(**values | {"training": values["training"] | unknown})


def test_paths_of_the_machine_stay_out_of_the_file(run_dir: Path) -> None:
    model = load_model(run_dir)
    paths = {
        "dataset_path": "/home/me/shapes",
        "data_dir": "/home/me",
        "recipe_path": "/home/r.toml",
    }
    earlier = {"recipe": {}, "dataset": "shapes", **paths}
    facts = {**model.training, **paths, "dataset_sha256": "12ab", "started_from": earlier}
    info: ModelInfo = model_info(source_of_model(replace(model, training=facts)), "fp32")
    assert "/home" not in "".join(info.to_metadata().values())
    assert info.training["dataset_sha256"] == "12ab"
    assert info.training["dataset_is_folder"] is True
    assert info.training["recipe_file"] == "r.toml"


def test_hostile_texts_do_not_break_the_card(card: Card) -> None:
    text = card(
        {HOSTILE: HOSTILE, "resumed": True},
        dataset=HOSTILE,
        class_names=(HOSTILE,) * 10,
        recipe={**load_recipe("edge").to_dict(), "name": HOSTILE},
        verification={HOSTILE: HOSTILE},
    )
    assert text.replace("\n", "").isprintable()
    for line in text.splitlines():
        if line.startswith("|"):  # cells of a table are separated by unescaped bars
            assert len(re.findall(r"(?<!\\)\|", line)) == 3, line
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[1:] == [
        f"## {it}" for it in ("The file", "Training", "Quality", "Verification", "Limits")
    ]
    assert "| resumed | yes |" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain_name 1.0+cpu", "plain_name 1.0+cpu"),
        ("_a_|*b*", r"\_a\_\|\*b\*"),
        ("two\nlines\x1b", r"two\\nlines\\x1b"),
    ],
)
def test_special_characters_are_escaped(text: str, expected: str) -> None:
    assert escape(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", "`a`"), ("a`b", "``a`b``"), ("``", "``` `` ```"), ("a|b", r"`a\|b`")],
)
def test_a_code_span_holds_any_text(text: str, expected: str) -> None:
    assert code(text) == expected


@pytest.mark.parametrize("text", ["a b", "a'b", "$(x)", "it's\n\x1b\\", "ü"])
def test_a_shell_reads_the_quoted_word(text: str) -> None:
    import subprocess

    word = shell_word(text)
    assert word.isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert done.stdout.decode() == text
