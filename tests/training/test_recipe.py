import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cgan_training.errors import RecipeError
from cgan_training.losses import LogisticLoss
from cgan_training.networks import PerceptronDiscriminator, PerceptronGenerator
from cgan_training.recipe.schema import Recipe, load_recipe, recipe_from, recipe_names


def test_seed_is_the_classic_recipe() -> None:
    assert load_recipe("seed") == Recipe(
        name="seed",
        noise_dim=100,
        generator=PerceptronGenerator(hidden=(256, 512, 1024)),
        discriminator=PerceptronDiscriminator(hidden=(1024, 512, 256), leaky_slope=0.2),
        loss=LogisticLoss(),
        batch_size=100,
        epochs=200,
        learning_rate=2e-4,
        betas=(0.9, 0.999),
        seed=0,
        epoch_images=60_000,
    )


def test_every_carried_recipe_loads_under_its_own_name() -> None:
    assert "seed" in recipe_names()
    for name in recipe_names():
        assert load_recipe(name).name == name


def test_plain_values_build_the_same_recipe() -> None:
    recipe = load_recipe("seed")
    assert recipe_from(recipe.to_dict(), "config.json") == recipe


def test_a_recipe_is_read_from_a_path(small_toml: Path, small_recipe: Recipe) -> None:
    assert load_recipe(str(small_toml)) == small_recipe


def test_an_epoch_shows_sixty_thousand_images_unless_told_otherwise() -> None:
    values = load_recipe("seed").to_dict()
    del values["epoch_images"]
    assert recipe_from(values, "mine.toml").epoch_images == 60_000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("noise_dim", 0),
        ("batch_size", -5),
        ("epochs", 0),
        ("decay", 1.5),
        ("augment", -0.1),
        ("learning_rate", 0.0),
        ("betas", (0.9, 1.0)),
        ("betas", (0.9,)),
        ("precision", "fp16"),
        ("average", 1.0),
        ("restarts", (0,)),
        ("restarts", (5, 3)),
        ("noise_scale", 0.0),
        ("noise_scale", float("nan")),
        ("rare_ink", 1.0),
        ("rare_ink", -0.1),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=f"'seed': {key} is .*; it must be "):
        dataclasses.replace(load_recipe("seed"), **{key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "unknown key 'epoch'; the keys are name, generator"),
        ({"epochs": "many"}, "epochs is 'many'; it must be int"),
        ({"epochs": 2.5}, "epochs is 2.5; it must be int"),
        ({"epochs": True}, "epochs is True; it must be int"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; it must be float"),
        ({"betas": 0.9}, "betas is 0.9; it must be a list of numbers"),
        ({"generator": "perceptron"}, "generator is 'perceptron'; it must be a table"),
        ({"generator": {"hidden": [64]}}, "generator.kind is None; it must be one of perceptron"),
        ({"loss": {"kind": "mean"}}, "loss.kind is 'mean'; it must be one of logistic, hinge"),
        (
            {"generator": {"kind": "perceptron", "hidden": [64, "wide"]}},
            "generator.hidden is 'wide'; it must be int",
        ),
        (
            {"generator": {"kind": "perceptron", "hidden": []}},
            r"generator.hidden is \(\); it must be one to 100 layers",
        ),
        (
            {"generator": {"kind": "perceptron", "hidden": [64], "batch_norm": 1}},
            "generator.batch_norm is 1; it must be bool",
        ),
        ({"generator": {"kind": "perceptron"}}, "'generator.hidden' is missing; add it"),
        (
            {"discriminator": {"kind": "perceptron", "hidden": [64, 0], "leaky_slope": 0.1}},
            r"discriminator.hidden is \(64, 0\)",
        ),
        (
            {"discriminator": {"kind": "perceptron", "hidden": [64], "leaky_slope": 1.0}},
            r"discriminator.leaky_slope is 1.0; it must be 0 or more",
        ),
        (
            {
                "discriminator": {
                    "kind": "convolutional",
                    "channels": [8, 8, 12],
                    "hidden": 16,
                    "deviation_fades": True,
                }
            },
            "discriminator.deviation_fades is True; it must be False without minibatch_deviation",
        ),
        ({"loss": {"kind": "logistic", "classify": -1}}, "loss.classify is -1.0; it must be 0 to"),
        (
            {"loss": {"kind": "logistic", "classify": 1.0}},
            "loss.classify is 1.0, but a discriminator of the kind 'perceptron' reads no labels",
        ),
        ({"loss": {"kind": "hinge", "read_noise": -1}}, "loss.read_noise is -1.0; it must be 0 to"),
        (
            {"loss": {"kind": "hinge", "read_noise": 1}},
            "loss.read_noise is 1.0, but a discriminator of the kind 'perceptron' reads no noise",
        ),
    ],
)
def test_a_wrong_key_or_type_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_from(load_recipe("seed").to_dict() | change, "mine.toml")


def test_a_missing_key_is_refused_by_name() -> None:
    values = load_recipe("seed").to_dict()
    del values["betas"]
    with pytest.raises(RecipeError, match="'betas' is missing"):
        recipe_from(values, "mine.toml")


def test_an_unknown_name_lists_the_recipes() -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'sead'; choose one of .*seed"):
        load_recipe("sead")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read the recipe"):
        load_recipe(str(tmp_path / "none.toml"))
    broken = tmp_path / "broken.toml"
    broken.write_text("epochs = = 3")
    with pytest.raises(RecipeError, match="is not TOML"):
        load_recipe(str(broken))
    broken = tmp_path / "config.json"
    for content, message in (("{", "is not JSON"), ("{}", "it has no recipe"), ("3", "no recipe")):
        broken.write_text(content)
        with pytest.raises(RecipeError, match=message):
            load_recipe(str(broken))


def test_a_run_s_config_holds_its_recipe(run_dir: Path, small_recipe: Recipe) -> None:
    assert load_recipe(str(run_dir / "config.json")) == small_recipe
