"""Steps recorded as CUDA graphs learn what the same steps learn that are launched one by one."""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from cgan_training.data import Dataset
from cgan_training.engine.trainer import Trainer
from cgan_training.hardware.cuda_graph import CudaGraphStep
from cgan_training.recipe.schema import Recipe, load_recipe

STEPS = 60  # more than are taken before both kinds of step are recorded
FEW = 9  # of which two are penalised, or one
NEAR = 0.1  # of what the weights move in so many


def problems(data: Dataset, small_data: Dataset) -> list[str]:
    """Return what is wrong, a line each; none on a GPU where all is well."""
    seed, edge = load_recipe("seed"), load_recipe("edge")
    return [
        *same_weights(seed, data),
        *same_weights(replace(seed, precision="bf16"), data),
        *near_weights(edge, data),
        *near_weights(edge, small_data),  # whose images are moved
        *near_weights(replace(edge, batch_size=4096), data),
        *same_when_resumed(seed, data),
        *steps_that_wait(seed, data),
    ]


def same_weights(recipe: Recipe, data: Dataset) -> list[str]:
    """Compare all weights, bit for bit."""
    recorded, written = trained(recipe, data), trained(recipe, data, record=False)
    same = torch.equal(weights(recorded), weights(written))
    return [] if same else [f"{recipe.name}, {recipe.precision}: other weights when recorded"]


def near_weights(recipe: Recipe, data: Dataset) -> list[str]:
    """Compare what a few steps make of a state, recorded and not: sums on a GPU have no order."""
    recorded = trained(recipe, data)
    before, state = weights(recorded), copy.deepcopy(recorded.state())
    written = Trainer(recipe, data, torch.device("cuda"))
    written.load_state(state)
    written.recorder = None
    for trainer in (recorded, written):
        advance(trainer, FEW)
    apart, moved = (
        (weights(recorded) - other).abs().mean().item() for other in (weights(written), before)
    )
    name = f"{recipe.name}, {data.name}, batches of {recipe.batch_size}"
    found = [] if apart < moved * NEAR else [f"{name}: {apart:.2g} apart after moving {moved:.2g}"]
    assert recorded.recorder is not None
    return found + ([] if recorded.recorder.recorded == {False, True} else [f"{name}: unrecorded"])


def same_when_resumed(recipe: Recipe, data: Dataset) -> list[str]:
    """Go on from a state in the middle, and compare with going on without."""
    whole, half = trained(recipe, data, 2 * STEPS), trained(recipe, data)
    resumed = Trainer(recipe, data, torch.device("cuda"))
    resumed.load_state(copy.deepcopy(half.state()))
    advance(resumed, STEPS)
    same = torch.equal(weights(whole), weights(resumed))
    return [] if same else [f"{recipe.name}: other weights when resumed"]


def steps_that_wait(recipe: Recipe, data: Dataset) -> list[str]:
    """Let a step wait for the device: it goes on unrecorded."""
    trainer = Trainer(recipe, data, torch.device("cuda"))

    def waiting(own: Tensor, kind: bool) -> Tensor:
        losses = trainer._step(own, kind)
        losses[0].item()
        return losses

    trainer.recorder = CudaGraphStep(waiting, trainer.random)
    advance(trainer, STEPS)
    same = torch.equal(weights(trainer), weights(trained(recipe, data, record=False)))
    found = [] if same else ["steps that wait: other weights"]
    return found + (["steps that wait: recorded"] if trainer.recorder.recorded else [])


def trained(recipe: Recipe, data: Dataset, steps: int = STEPS, *, record: bool = True) -> Trainer:
    """Return a trainer after so many steps."""
    trainer = Trainer(recipe, data, torch.device("cuda"))
    if not record:
        trainer.recorder = None
    advance(trainer, steps)
    return trainer


def advance(trainer: Trainer, steps: int) -> None:
    """Take so many steps, over the ends of epochs."""
    last = trainer.step + steps
    while trainer.step < last:
        trainer.train_epoch(lambda _done, _sums: trainer.step < last)


def weights(trainer: Trainer) -> Tensor:
    """Return all weights in a row."""
    networks = (trainer.generator, trainer.discriminator)
    return torch.cat([each.detach().flatten() for net in networks for each in net.parameters()])
