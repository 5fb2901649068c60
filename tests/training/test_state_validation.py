"""A checkpoint may only contain a state that its trainer could have reached."""

import copy
import dataclasses
from typing import Any

import pytest
import torch
from run_results import CPU

from cgan_training.data import Dataset
from cgan_training.engine import Trainer
from cgan_training.recipe import Recipe

State = dict[str, Any]
NAN, INF = float("nan"), float("inf")
MISSING = object()


@pytest.fixture(scope="module")
def trainer(small_recipe: Recipe, digits: Dataset) -> Trainer:
    """A trainer in the middle of its first epoch, with EMA weights."""
    made = Trainer(dataclasses.replace(small_recipe, ema_decay=0.9, lr_decay=0.5), digits, CPU)
    made.train_epoch(lambda done, _sums: done < 3)
    return made


@pytest.fixture
def state(trainer: Trainer) -> State:
    return copy.deepcopy(trainer.state_dict())


@pytest.fixture
def fresh(trainer: Trainer) -> Trainer:
    return Trainer(trainer.recipe, trainer.dataset, CPU)


def test_a_saved_state_is_accepted(fresh: Trainer, state: State) -> None:
    first = copy.deepcopy(fresh.state_dict())
    # Other releases of PyTorch have other settings.
    group = state["optimizer_g"]["param_groups"][0]
    del group["maximize"]
    group["later"] = 5
    fresh.load_state_dict(state)
    assert fresh.train_epoch(lambda done, _sums: done < 4).step == 4
    fresh.load_state_dict(first)  # the state before the first step
    assert fresh.train_epoch(lambda done, _sums: done < 1).step == 1


COUNTER = [MISSING, "x", -1, 1.5, True, 2**60]
WEIGHT = "generator/layers.0.weight"
SETTINGS, MOMENTS = "optimizer_g/param_groups/0", "optimizer_g/state/0"
INVALID: dict[str, list[Any]] = {
    **dict.fromkeys(("epoch", "step"), COUNTER),
    "epoch_steps": [*COUNTER, 10**6],
    "seconds": [-1.0, NAN, INF, 5, "x"],
    "epoch_sums": [None, torch.zeros(4), torch.tensor([NAN] * 4, dtype=torch.float64)],
    "epoch_order": [MISSING, "x", None, torch.arange(1499), torch.arange(1500).int()],
    "epoch_order/0": [-1, 10**6],
    "rng": [MISSING, torch.zeros(5056, dtype=torch.uint8), torch.zeros(9, dtype=torch.uint8)],
    "generator": [MISSING, "x"],
    "generator/more": [torch.zeros(1)],
    WEIGHT: [MISSING, torch.zeros(20, 32), torch.zeros(32, 20).double()],
    f"{WEIGHT}/0": [NAN, INF],
    "ema": [None],
    "ema/n_averaged": [torch.tensor(1.5)],
    "optimizer_g": [None],
    "optimizer_g/param_groups": [MISSING, [], [{}, {}]],
    f"{SETTINGS}/lr": [NAN],
    f"{SETTINGS}/betas": [(0.9, 2.0)],
    f"{SETTINGS}/eps": ["x"],
    f"{SETTINGS}/fused": [False],
    f"{SETTINGS}/params": [[0, 1]],
    f"{SETTINGS}/weight_decay": [1],
    MOMENTS: [MISSING],
    "optimizer_g/state/99": [{}],
    f"{MOMENTS}/exp_avg": [MISSING, torch.zeros(1)],
    f"{MOMENTS}/exp_avg_sq/0": [NAN],
    f"{MOMENTS}/step": [torch.tensor(-INF), 3],
}


@pytest.mark.parametrize(
    ("path", "value"), [(path, value) for path, values in INVALID.items() for value in values]
)
def test_an_impossible_state_is_rejected_and_changes_nothing(
    fresh: Trainer, state: State, path: str, value: Any
) -> None:
    before = copy.deepcopy(fresh.state_dict())
    target: Any = state
    *folders, key = [int(part) if part.isdecimal() else part for part in path.split("/")]
    for folder in folders:
        target = target[folder]
    if value is MISSING:
        del target[key]
    else:
        target[key] = value
    other_errors = {"rng": RuntimeError, "optimizer_g": TypeError}
    error = (KeyError, ValueError) if value is MISSING else other_errors.get(path, ValueError)
    with pytest.raises(error):
        fresh.load_state_dict(state)
    after = fresh.state_dict()
    assert all(map(torch.equal, after["generator"].values(), before["generator"].values()))
    assert (after["epoch"], after["step"], after["epoch_order"]) == (0, 0, None)
