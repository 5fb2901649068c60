"""What a checkpoint may hold: whatever its trainer could have become, and nothing else."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cgan_training.data import Dataset
from cgan_training.engine.trainer import Trainer
from cgan_training.recipe.schema import Recipe

State = dict[str, Any]
CPU = torch.device("cpu")
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def trainer(small_recipe: Recipe, digits: Dataset) -> Trainer:
    """One in the middle of its first epoch, with an average."""
    made = Trainer(dataclasses.replace(small_recipe, average=0.9, decay=0.5), digits, CPU)
    made.train_epoch(lambda done, _sums: done < 3)
    return made


@pytest.fixture
def state(trainer: Trainer) -> State:
    return copy.deepcopy(trainer.state())


def fresh(trainer: Trainer) -> Trainer:
    return Trainer(trainer.recipe, trainer.dataset, CPU)


def test_its_own_state_fits(trainer: Trainer, state: State) -> None:
    other = fresh(trainer)
    other.load_state(state)
    assert other.step == 3
    assert other.train_epoch(lambda done, _sums: done < 4).step == 4


def test_the_state_of_one_that_has_done_nothing_fits(trainer: Trainer) -> None:
    other = fresh(trainer)
    other.load_state(fresh(trainer).state())
    assert other.train_epoch(lambda done, _sums: done < 1).step == 1


def first_weight(state: State) -> torch.Tensor:
    weight: torch.Tensor = state["generator"]["layers.0.weight"]
    return weight


def moment(state: State) -> State:
    first: State = state["optimizer_g"]["state"][0]
    return first


@pytest.mark.parametrize(
    "change",
    [
        *(lambda it, key=key: it.pop(key) for key in ("generator", "epoch", "order", "random")),
        *(lambda it, key=key: it.update({key: "x"}) for key in ("generator", "step", "order")),
        *(lambda it, key=key: it.update({key: None}) for key in ("optimizer_g", "done", "sums")),
        *(lambda it, key=key: it.update({key: -1}) for key in ("epoch", "step", "done")),
        *(lambda it, key=key: it.update({key: 1.5}) for key in ("epoch", "step", "done")),
        *(lambda it, key=key: it.update({key: True}) for key in ("epoch", "step", "done")),
        *(lambda it, key=key: it.update({key: 2**60}) for key in ("epoch", "step", "done")),
        *(lambda it, n=n: it.update(seconds=n) for n in (-1.0, NAN, INF, 5, "x")),
        lambda it: it.update(done=10**6),
        lambda it: it.update(order=None),
        lambda it: it.update(order=it["order"][:-1]),
        lambda it: it.update(order=it["order"].to(torch.int32)),
        lambda it: it["order"].__setitem__(0, -1),
        lambda it: it["order"].__setitem__(0, 10**6),
        lambda it: it.update(sums=torch.zeros(4)),
        lambda it: it.update(sums=torch.tensor([NAN] * 4, dtype=torch.float64)),
        lambda it: it.update(sheet_noise=torch.zeros(10, 9)),
        lambda it: it.update(random=torch.zeros(5056, dtype=torch.uint8)),
        lambda it: it.update(random=it["random"][:-1]),
        lambda it: it["generator"].pop("layers.0.weight"),
        lambda it: it["generator"].update(more=torch.zeros(1)),
        lambda it: it["generator"].update({"layers.0.weight": first_weight(it).T}),
        lambda it: it["generator"].update({"layers.0.weight": first_weight(it).double()}),
        lambda it: first_weight(it).__setitem__((0, 0), NAN),
        lambda it: first_weight(it).__setitem__((0, 0), INF),
        lambda it: it["average"].update(n_averaged=torch.tensor(1.5)),
        lambda it: it["optimizer_g"].pop("param_groups"),
        lambda it: it["optimizer_g"].update(param_groups=[]),
        lambda it: it["optimizer_g"]["param_groups"].append({}),
        *(
            lambda it, key=key, value=value: it["optimizer_g"]["param_groups"][0].update(
                {key: value}
            )
            for key, value in {
                "lr": NAN,
                "betas": (0.9, 2.0),
                "eps": "x",
                "fused": False,
                "amsgrad": True,
                "params": [0, 1],
                "weight_decay": 1,
            }.items()
        ),
        lambda it: it["optimizer_g"]["state"].pop(0),
        lambda it: it["optimizer_g"]["state"].update({99: {}}),
        lambda it: moment(it).pop("exp_avg"),
        lambda it: moment(it).update(exp_avg=torch.zeros(1)),
        lambda it: moment(it)["exp_avg_sq"].fill_(NAN),
        lambda it: moment(it).update(step=torch.tensor(-INF)),
        lambda it: moment(it).update(step=3),
    ],
)
def test_another_state_is_refused_and_nothing_of_it_taken_over(
    trainer: Trainer, state: State, change: Callable[[State], object]
) -> None:
    other = fresh(trainer)
    before = copy.deepcopy(other.state())
    change(state)
    with pytest.raises((KeyError, RuntimeError, TypeError, ValueError, AttributeError)):
        other.load_state(state)
    after = other.state()
    assert torch.equal(first_weight(after), first_weight(before))
    assert (after["epoch"], after["step"], after["order"]) == (0, 0, None)


def test_a_state_of_a_torch_that_knows_fewer_settings_fits(trainer: Trainer, state: State) -> None:
    group = state["optimizer_g"]["param_groups"][0]
    del group["maximize"]
    group["later"] = 5
    fresh(trainer).load_state(state)
