"""Arbitrary values for the options of cgan-train and for recipes: an error, or a valid result.

CGAN_EXAMPLES=100 tries 100 times as many values, which are random in each run.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from hypothesis import given
from hypothesis import strategies as st
from property_testing import WORD_CHARACTERS, examples

from cgan_training import data
from cgan_training.data import DATASETS, load_dataset
from cgan_training.errors import RecipeError
from cgan_training.recipe import TABLES, load_recipe, recipe_from_dict

SPECIAL = [
    *("", " ", "-", "--", "-1", "0", "1", " 1", "1.5", "1e3", "nan", "inf", "-inf", "1e-320"),
    *("0x10", "1_0", "\N{ARABIC-INDIC DIGIT THREE}", "9" * 30, str(2**31), str(2**63)),
    *("\n", "\udcff", "None", "cpu", "cuda", "mps", "%s", "{}", "$x$", "\x1b[31m", "fp32", "bf16"),
    *(".", "..", "/", "none/", "file", "file/x", "folder", "file.toml", "none.json", "n" * 300),
]


def is_harmless(text: str) -> bool:
    """Return whether a value starts no long training, many threads or a download."""
    try:
        return not 40 < int(text) < 2**31
    except ValueError:
        return text.casefold() not in (*DATASETS, "--debug")


WORDS = (st.sampled_from(SPECIAL) | st.text(WORD_CHARACTERS, max_size=9)).filter(is_harmless)
OPTIONS = st.sampled_from(
    [
        "--recipe",
        "--run-dir",
        "--resume",
        "--start-from",
        "--dataset",
        "--data-dir",
        "--epochs",
        "--precision",
        "--seed",
        "--minutes",
        "--checkpoint-minutes",
        "--keep-every",
        "--eval-every",
        "--cache-dir",
        "--device",
        "--threads",
    ]
)
NUMBERS = st.integers(-2, 40) | st.sampled_from([2**31, 2**63, 10**400, -(10**30)]) | st.floats()
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=4) | st.just("\udcff"),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=4), each),
    max_leaves=4,
)
EDGE = load_recipe("edge").to_dict()
KEYS = [*EDGE, *(f"{name}.{key}" for name in EDGE if name in TABLES for key in EDGE[name])]
SETTINGS = st.tuples(st.just("--set"), st.builds("{}={}".format, st.sampled_from(KEYS), WORDS))


@examples(45)
@given(options=st.lists(st.tuples(OPTIONS, WORDS) | SETTINGS, max_size=3))
def test_any_option_value_trains_or_gives_one_error_line(
    call: Command, small_toml: Path, options: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_toml.parent
    (folder / "folder").mkdir(exist_ok=True)
    for name in ("file", "file.toml"):
        (folder / name).write_text("old")
    before = sorted(folder.rglob("*"))
    with monkeypatch.context() as patch:
        patch.setenv("HOME", str(folder))
        patch.setattr(data, "load_dataset", cache(load_dataset))
        usual = ["--recipe", small_toml, "--dataset", "optdigits", "--threads", 1, "--dry-run"]
        done = call("cgan-train", *usual, *(word for pair in options for word in pair))
    assert sorted(folder.rglob("*")) == before
    assert done.returncode in (0, 1, 2)
    assert b"Traceback" not in done.stderr
    lines = done.stderr.split(b"\n")
    errors = [line for line in lines if line.startswith(b"error: ")]
    assert len(errors) == bool(done.returncode)
    if errors:
        assert done.stdout == b""
        assert errors == lines[-2:-1]
        assert b"; " in errors[0]


def test_a_valid_recipe_value_is_accepted() -> None:
    recipe = recipe_from_dict(EDGE | {"batch_size": 7, "learning_rate": 1e-3}, "given")
    assert (recipe.batch_size, recipe.learning_rate) == (7, 1e-3)


@examples(400)
@given(name=st.sampled_from(["edge", "classic"]), key=st.sampled_from(KEYS), value=VALUES)
def test_any_recipe_value_is_accepted_or_rejected(name: str, key: str, value: Any) -> None:
    values = json.loads(json.dumps(load_recipe(name).to_dict()))
    table, _, last = key.rpartition(".")
    (values[table] if table else values)[last] = value
    try:
        recipe = recipe_from_dict(values, "given")
    except RecipeError:
        return
    text = json.dumps(recipe.to_dict(), ensure_ascii=False, allow_nan=False)
    text.encode()
    assert recipe_from_dict(json.loads(text), "again") == recipe
