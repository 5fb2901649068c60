"""Recipes: how a network is trained, as plain settings. Nothing here imports PyTorch."""

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
)
from cgan_training.recipe.schema import MAX_EPOCHS, PRECISIONS, TABLES, Recipe
from cgan_training.recipe.settings import build_table

__all__ = [
    "GENERATORS",
    "MAX_EPOCHS",
    "PRECISIONS",
    "TABLES",
    "ConvolutionalDiscriminator",
    "ConvolutionalGenerator",
    "DiscriminatorSettings",
    "GeneratorSettings",
    "HingeLoss",
    "LogisticLoss",
    "LossSettings",
    "PerceptronDiscriminator",
    "PerceptronGenerator",
    "Recipe",
    "build_table",
    "load_recipe",
    "recipe_from_dict",
    "recipe_names",
]
