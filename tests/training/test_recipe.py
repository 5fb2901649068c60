"""Recipes: built-in ones, files, and validation."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cgan_training.errors import RecipeError
from cgan_training.recipe import (
    ConvolutionalGeneratorSettings,
    LogisticLossSettings,
    Recipe,
    load_recipe,
    recipe_from_dict,
    recipe_names,
)


def test_every_built_in_recipe_loads_under_its_own_name() -> None:
    assert {load_recipe(name).name for name in recipe_names()} == set(recipe_names())


def test_a_recipe_loads_from_plain_values_toml_and_the_config_of_a_run(
    small_toml: Path, run_dir: Path, small_recipe: Recipe
) -> None:
    assert recipe_from_dict(small_recipe.to_dict(), "config.json") == small_recipe
    assert load_recipe(str(small_toml)) == small_recipe
    assert load_recipe(str(run_dir / "config.json")) == small_recipe


OUT_OF_RANGE: dict[str, list[Any]] = {
    "noise_dim": [0],
    "batch_size": [-5],
    "epochs": [0],
    "lr_decay": [1.5],
    "augment_probability": [-0.1],
    "learning_rate": [0.0],
    "adam_betas": [(0.9, 1.0), (0.9,)],
    "precision": ["fp16"],
    "ema_decay": [1.0],
    "lr_restarts": [(0,), (5, 3)],
    "noise_std": [0.0, float("nan")],
    "rare_pixel_threshold": [1.0, -0.1],
    "seed": [-1, 2**63],
}


@pytest.mark.parametrize("key", OUT_OF_RANGE)
def test_a_value_out_of_range_is_rejected_by_name(key: str) -> None:
    for value in OUT_OF_RANGE[key]:
        with pytest.raises(RecipeError, match=f"'classic': {key} is .*; it must be "):
            dataclasses.replace(load_recipe("classic"), **{key: value})


def test_settings_that_the_networks_do_not_support_are_rejected(small_recipe: Recipe) -> None:
    generator = ConvolutionalGeneratorSettings(hidden=8, channels=4)
    with pytest.raises(RecipeError, match="'convolutional' generator has no bias for each pixel"):
        dataclasses.replace(small_recipe, generator=generator, rare_pixel_threshold=0.001)
    message = "loss.classification_weight is 0.5, but a 'perceptron' discriminator has no features"
    with pytest.raises(RecipeError, match=message):
        dataclasses.replace(small_recipe, loss=LogisticLossSettings(classification_weight=0.5))


MISSING = object()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("epoch", 3, "unknown key 'epoch'; the keys are name, generator"),
        ("epochs", "many", "epochs is 'many'; it must be an integer"),
        ("epochs", 2.5, "epochs is 2.5; it must be an integer"),
        ("epochs", True, "epochs is True; it must be an integer"),
        ("learning_rate", "fast", "learning_rate is 'fast'; it must be a number"),
        ("adam_betas", 0.9, "adam_betas is 0.9; it must be a list of numbers"),
        ("adam_betas", MISSING, "'adam_betas' is missing; add it"),
        ("generator", "perceptron", "generator is 'perceptron'; it must be a table"),
        ("generator.kind", MISSING, "generator.kind is None; it must be one of perceptron"),
        ("generator.hidden", MISSING, "'generator.hidden' is missing; add it"),
        ("generator.hidden", [64, "wide"], "generator.hidden is 'wide'; it must be an integer"),
        ("generator.hidden", [], r"hidden is \(\); it must be a list of 1 to 100 numbers"),
        ("generator.hidden", [64, 0], r"generator.hidden is \(64, 0\); it must be a list of"),
        ("generator.batch_norm", 1, "generator.batch_norm is 1; it must be true or false"),
        ("discriminator.channels", [8, 8], r"discriminator.channels is \(8, 8\); it must be three"),
        ("discriminator.negative_slope", 1, "negative_slope is 1.0; it must be 0 or more"),
        ("discriminator.minibatch_stddev", False, "_fades is True; it must be False without"),
        ("loss.kind", "mean", "loss.kind is 'mean'; it must be one of logistic, hinge"),
        ("loss.classification_weight", -1, "classification_weight is -1.0; it must be 0 to"),
    ],
)
def test_an_invalid_key_or_value_is_rejected_by_name(path: str, value: Any, message: str) -> None:
    values = load_recipe("edge").to_dict()
    table, _, key = path.rpartition(".")
    target = values[table] if table else values
    target[key] = value
    if value is MISSING:
        del target[key]
    with pytest.raises(RecipeError, match=message):
        recipe_from_dict(values, "mine.toml")


LONG = "x" * 10**6


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *(("epochs", LONG), (LONG, 1), ("name", LONG), ("generator", LONG), ("precision", LONG)),
        *(("generator.kind", LONG), ("generator.hidden", [0] * 10**6), ("loss.kind", [LONG])),
        *(("lr_restarts", [2, 1] * 10**6), ("loss.classification_weight", [LONG])),
    ],
)
def test_the_message_about_a_long_value_is_short(path: str, value: Any) -> None:
    values = load_recipe("edge").to_dict()
    table, _, key = path.rpartition(".")
    (values[table] if table else values)[key] = value
    with pytest.raises(RecipeError) as caught:
        recipe_from_dict(values, "mine.toml")
    assert len(caught.value.args[0]) < 700


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"unknown recipe 'clasic'; choose one of classic, edge"):
        load_recipe("clasic")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.toml", None, "cannot read the recipe"),
        ("broken.toml", "epochs = = 3", "is invalid TOML"),
        ("latin-1.toml", "name = '\udcff'", "is invalid TOML"),
        ("long.toml", "a." * 2**14, "it has more than 16,384 bytes; check the path"),
        ("long.json", " " * (2**24 + 1), "it has more than 16,777,216 bytes; check the path"),
        ("config.json", "{", "is invalid JSON"),
        ("config.json", "{}", "does not contain a recipe; give"),
        ("config.json", "3", "does not contain a recipe; give"),
    ],
)
def test_an_unreadable_file_is_rejected(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, "utf-8", "surrogateescape")
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(tmp_path / name))
