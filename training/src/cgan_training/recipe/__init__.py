"""Recipes: how a network is trained, as plain settings. Nothing here imports PyTorch."""

from cgan_training.recipe.custom import (
    CustomDiscriminatorSettings,
    CustomGeneratorSettings,
    CustomLossSettings,
)
from cgan_training.recipe.loading import load_recipe, recipe_from_dict, recipe_names
from cgan_training.recipe.losses import HingeLossSettings, LogisticLossSettings, LossSettings
from cgan_training.recipe.networks import (
    GENERATORS,
    ConvolutionalDiscriminatorSettings,
    ConvolutionalGeneratorSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    PerceptronDiscriminatorSettings,
    PerceptronGeneratorSettings,
    ProjectionDiscriminatorSettings,
    PyramidDiscriminatorSettings,
)
from cgan_training.recipe.overrides import matching_keys, override, parse_override
from cgan_training.recipe.schema import MAX_EPOCHS, PRECISIONS, RECIPE_OPTIONS, TABLES, Recipe
from cgan_training.recipe.settings import build_table

__all__ = [
    "GENERATORS",
    "MAX_EPOCHS",
    "PRECISIONS",
    "RECIPE_OPTIONS",
    "TABLES",
    "ConvolutionalDiscriminatorSettings",
    "ConvolutionalGeneratorSettings",
    "CustomDiscriminatorSettings",
    "CustomGeneratorSettings",
    "CustomLossSettings",
    "DiscriminatorSettings",
    "GeneratorSettings",
    "HingeLossSettings",
    "LogisticLossSettings",
    "LossSettings",
    "PerceptronDiscriminatorSettings",
    "PerceptronGeneratorSettings",
    "ProjectionDiscriminatorSettings",
    "PyramidDiscriminatorSettings",
    "Recipe",
    "build_table",
    "load_recipe",
    "matching_keys",
    "override",
    "parse_override",
    "recipe_from_dict",
    "recipe_names",
]
