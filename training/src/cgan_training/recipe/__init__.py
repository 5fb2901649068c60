"""Recipes: how a network is trained, as plain settings. Nothing here imports PyTorch."""

from cgan_training.recipe.custom import CustomDiscriminator, CustomGenerator, CustomLoss
from cgan_training.recipe.loading import load_recipe, recipe_from_dict, recipe_names
from cgan_training.recipe.losses import HingeLoss, LogisticLoss, LossSettings
from cgan_training.recipe.networks import (
    GENERATORS,
    ConvolutionalDiscriminator,
    ConvolutionalGenerator,
    DiscriminatorSettings,
    GeneratorSettings,
    PerceptronDiscriminator,
    PerceptronGenerator,
    ProjectionDiscriminator,
    PyramidDiscriminator,
)
from cgan_training.recipe.overrides import matching_keys, override, parse_override
from cgan_training.recipe.schema import MAX_EPOCHS, PRECISIONS, TABLES, Recipe
from cgan_training.recipe.settings import build_table

__all__ = [
    "GENERATORS",
    "MAX_EPOCHS",
    "PRECISIONS",
    "TABLES",
    "ConvolutionalDiscriminator",
    "ConvolutionalGenerator",
    "CustomDiscriminator",
    "CustomGenerator",
    "CustomLoss",
    "DiscriminatorSettings",
    "GeneratorSettings",
    "HingeLoss",
    "LogisticLoss",
    "LossSettings",
    "PerceptronDiscriminator",
    "PerceptronGenerator",
    "ProjectionDiscriminator",
    "PyramidDiscriminator",
    "Recipe",
    "build_table",
    "load_recipe",
    "matching_keys",
    "override",
    "parse_override",
    "recipe_from_dict",
    "recipe_names",
]
