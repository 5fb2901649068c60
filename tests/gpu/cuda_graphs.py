"""Training with captured CUDA graphs gives the same weights as running each step directly."""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from cgan_training.data import Dataset
from cgan_training.engine import Trainer
from cgan_training.hardware.cuda_graph import CudaGraphStep
from cgan_training.recipe import Recipe, load_recipe

STEPS = 60  # enough to capture both variants of a step
FEW_STEPS = 9  # one or two of them have a gradient penalty
MAX_DIFFERENCE = 0.1  # of the weights, relative to the distance that FEW_STEPS move them


def find_problems(data: Dataset, small_data: Dataset) -> list[str]:
    """Return one line per problem, or an empty list."""
    classic, edge = load_recipe("classic"), load_recipe("edge")
    return [
        *check_equal_weights(classic, data),
        *check_equal_weights(replace(classic, precision="bf16"), data),
        *check_similar_weights(edge, data),
        *check_similar_weights(edge, small_data),  # with augmentation
        *check_similar_weights(replace(edge, batch_size=4096), data),
        *check_resume(classic, data),
        *check_synchronizing_step(classic, data),
    ]


def check_equal_weights(recipe: Recipe, data: Dataset) -> list[str]:
    """Compare all weights, bit for bit."""
    captured, direct = trained(recipe, data), trained(recipe, data, capture=False)
    equal = torch.equal(weights(captured), weights(direct))
    return [] if equal else [f"{recipe.name}, {recipe.precision}: capture changes the weights"]


def check_similar_weights(recipe: Recipe, data: Dataset) -> list[str]:
    """Compare a few captured and direct steps from the same state.

    They cannot be equal: this recipe's operations sum in a random order on a GPU.
    """
    captured = trained(recipe, data)
    before, state = weights(captured), copy.deepcopy(captured.state_dict())
    direct = Trainer(recipe, data, torch.device("cuda"))
    direct.load_state_dict(state)
    direct.graph_step = None
    for trainer in (captured, direct):
        train_steps(trainer, FEW_STEPS)
    difference, moved = (
        (weights(captured) - other).abs().mean().item() for other in (weights(direct), before)
    )
    name = f"{recipe.name}, {data.name}, batches of {recipe.batch_size}"
    problems = []
    if difference >= moved * MAX_DIFFERENCE:
        problems.append(f"{name}: the weights moved by {moved:.2g} and differ by {difference:.2g}")
    if captured.graph_step is None or captured.graph_step.graphs.keys() != {False, True}:
        problems.append(f"{name}: not both variants of the step were captured")
    return problems


def check_resume(recipe: Recipe, data: Dataset) -> list[str]:
    """Compare an uninterrupted run with one that is resumed halfway."""
    full, half = trained(recipe, data, 2 * STEPS), trained(recipe, data)
    resumed = Trainer(recipe, data, torch.device("cuda"))
    resumed.load_state_dict(copy.deepcopy(half.state_dict()))
    train_steps(resumed, STEPS)
    equal = torch.equal(weights(full), weights(resumed))
    return [] if equal else [f"{recipe.name}: resuming changes the weights"]


def check_synchronizing_step(recipe: Recipe, data: Dataset) -> list[str]:
    """Check that a step which synchronizes with the device is never captured."""
    trainer = Trainer(recipe, data, torch.device("cuda"))

    def synchronizing_step(indices: Tensor, apply_r1: bool) -> Tensor:
        losses = trainer._step(indices, apply_r1)
        losses[0].item()
        return losses

    trainer.graph_step = CudaGraphStep(synchronizing_step, trainer.state.rng)
    train_steps(trainer, STEPS)
    direct = trained(recipe, data, capture=False)
    equal = torch.equal(weights(trainer), weights(direct))
    problems = [] if equal else ["a synchronizing step: different weights"]
    if trainer.graph_step.graphs:
        problems.append("a synchronizing step was captured")
    return problems


def trained(recipe: Recipe, data: Dataset, steps: int = STEPS, *, capture: bool = True) -> Trainer:
    """Return a trainer after a number of steps."""
    trainer = Trainer(recipe, data, torch.device("cuda"))
    if not capture:
        trainer.graph_step = None
    train_steps(trainer, steps)
    return trainer


def train_steps(trainer: Trainer, steps: int) -> None:
    """Train for a number of steps, across the ends of epochs."""
    last = trainer.step + steps
    while trainer.step < last:
        trainer.train_epoch(lambda _steps, _sums: trainer.step < last)


def weights(trainer: Trainer) -> Tensor:
    """Return all weights of both networks as one vector."""
    networks = (trainer.state.generator, trainer.state.discriminator)
    return torch.cat([each.detach().flatten() for net in networks for each in net.parameters()])
