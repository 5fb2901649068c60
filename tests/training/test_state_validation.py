"""A checkpoint may only contain a state that its trainer could have reached."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cgan_training.data import Dataset
from cgan_training.engine import Trainer
from cgan_training.recipe import Recipe

State = dict[str, Any]
CPU = torch.device("cpu")
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def trainer(small_recipe: Recipe, digits: Dataset) -> Trainer:
    """A trainer in the middle of its first epoch, with averaged weights."""
    made = Trainer(dataclasses.replace(small_recipe, ema_decay=0.9, lr_decay=0.5), digits, CPU)
    made.train_epoch(lambda done, _sums: done < 3)
    return made


@pytest.fixture
def state(trainer: Trainer) -> State:
    return copy.deepcopy(trainer.state_dict())


def fresh(trainer: Trainer) -> Trainer:
    return Trainer(trainer.recipe, trainer.dataset, CPU)


def test_a_saved_state_is_accepted(trainer: Trainer, state: State) -> None:
    other = fresh(trainer)
    other.load_state_dict(state)
    assert other.step == 3
    assert other.train_epoch(lambda done, _sums: done < 4).step == 4


def test_the_state_before_the_first_step_is_accepted(trainer: Trainer) -> None:
    other = fresh(trainer)
    other.load_state_dict(fresh(trainer).state_dict())
    assert other.train_epoch(lambda done, _sums: done < 1).step == 1


def test_optimizer_settings_of_other_pytorch_releases_are_accepted(
    trainer: Trainer, state: State
) -> None:
    group = state["optimizer_g"]["param_groups"][0]
    del group["maximize"]
    group["later"] = 5
    fresh(trainer).load_state_dict(state)


def weight(state: State) -> torch.Tensor:
    tensor: torch.Tensor = state["generator"]["layers.0.weight"]
    return tensor


def moments(state: State) -> State:
    first: State = state["optimizer_g"]["state"][0]
    return first


def settings(state: State) -> State:
    group: State = state["optimizer_g"]["param_groups"][0]
    return group


COUNTERS = ("epoch", "step", "epoch_steps")
SETTINGS = {
    "lr": NAN,
    "betas": (0.9, 2.0),
    "eps": "x",
    "fused": False,
    "amsgrad": True,
    "params": [0, 1],
    "weight_decay": 1,
}


@pytest.mark.parametrize(
    "change",
    [
        *(lambda it, k=k: it.pop(k) for k in ("generator", "epoch", "epoch_order", "random")),
        *(lambda it, k=k: it.update({k: "x"}) for k in ("generator", "step", "epoch_order")),
        *(lambda it, k=k: it.update({k: None}) for k in ("optimizer_g", "ema", "epoch_sums")),
        *(
            lambda it, k=k, value=value: it.update({k: value})
            for k in COUNTERS
            for value in (-1, 1.5, True, 2**60)
        ),
        *(lambda it, n=n: it.update(seconds=n) for n in (-1.0, NAN, INF, 5, "x")),
        lambda it: it.update(epoch_steps=10**6),
        lambda it: it.update(epoch_order=None),
        lambda it: it.update(epoch_order=it["epoch_order"][:-1]),
        lambda it: it.update(epoch_order=it["epoch_order"].to(torch.int32)),
        lambda it: it["epoch_order"].__setitem__(0, -1),
        lambda it: it["epoch_order"].__setitem__(0, 10**6),
        lambda it: it.update(epoch_sums=torch.zeros(4)),
        lambda it: it.update(epoch_sums=torch.tensor([NAN] * 4, dtype=torch.float64)),
        lambda it: it.update(random=torch.zeros(5056, dtype=torch.uint8)),
        lambda it: it.update(random=it["random"][:-1]),
        lambda it: it["generator"].pop("layers.0.weight"),
        lambda it: it["generator"].update(more=torch.zeros(1)),
        lambda it: it["generator"].update({"layers.0.weight": weight(it).T}),
        lambda it: it["generator"].update({"layers.0.weight": weight(it).double()}),
        lambda it: weight(it).__setitem__((0, 0), NAN),
        lambda it: weight(it).__setitem__((0, 0), INF),
        lambda it: it["ema"].update(n_averaged=torch.tensor(1.5)),
        lambda it: it["optimizer_g"].pop("param_groups"),
        lambda it: it["optimizer_g"].update(param_groups=[]),
        lambda it: it["optimizer_g"]["param_groups"].append({}),
        *(lambda it, k=k, v=v: settings(it).update({k: v}) for k, v in SETTINGS.items()),
        lambda it: it["optimizer_g"]["state"].pop(0),
        lambda it: it["optimizer_g"]["state"].update({99: {}}),
        lambda it: moments(it).pop("exp_avg"),
        lambda it: moments(it).update(exp_avg=torch.zeros(1)),
        lambda it: moments(it)["exp_avg_sq"].fill_(NAN),
        lambda it: moments(it).update(step=torch.tensor(-INF)),
        lambda it: moments(it).update(step=3),
    ],
)
def test_an_impossible_state_is_refused_and_changes_nothing(
    trainer: Trainer, state: State, change: Callable[[State], object]
) -> None:
    other = fresh(trainer)
    before = copy.deepcopy(other.state_dict())
    change(state)
    with pytest.raises((KeyError, RuntimeError, TypeError, ValueError, AttributeError)):
        other.load_state_dict(state)
    after = other.state_dict()
    assert torch.equal(weight(after), weight(before))
    assert (after["epoch"], after["step"], after["epoch_order"]) == (0, 0, None)
