"""Units are changed so that bytes serve them best; what is drawn stays."""

import copy

import pytest
import torch
from torch import Tensor, nn

from cgan_export.int8 import balance as balancing
from cgan_export.int8.balance import balance
from cgan_export.int8.quantization import quantize
from cgan_export.int8.scales import pair_sums
from cgan_export.int8.sensitivity import measure_sensitivity, noise_and_labels
from cgan_export.tracing.trace import ContractGenerator
from cgan_training.networks import Generator, build_generator
from cgan_training.recipe import PerceptronGenerator

UNITS, DEAD = (40, 30), 6
IMAGES = 2000


@pytest.fixture(scope="module")
def module() -> ContractGenerator:
    """An untrained one, some of whose units never light up, and some far more than others."""
    torch.manual_seed(5)
    generator = build_generator(PerceptronGenerator(UNITS), 10, 4, 6, 7).eval()
    layers = [layer for layer in generator.layers if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer in layers:
            layer.weight *= 3
        for layer in layers[:2]:
            layer.bias[:DEAD] = -1000
            layer.weight[-4:] *= 5
    return ContractGenerator(generator).eval()


def drawn(module: ContractGenerator) -> Tensor:
    with torch.no_grad():
        images: Tensor = module(*noise_and_labels(module, IMAGES))
    return 255 * images.flatten(1)


def test_images_stay(module: ContractGenerator) -> None:
    changed = copy.deepcopy(module)
    balance(changed)
    assert drawn(module).std() > 10
    torch.testing.assert_close(drawn(changed), drawn(module), rtol=0, atol=0.05)


def test_images_of_convolutions_stay(convolutional_generator: Generator) -> None:
    module = ContractGenerator(convolutional_generator).eval()
    changed = copy.deepcopy(module)
    steps = balance(changed)
    torch.testing.assert_close(drawn(changed), drawn(module), rtol=0, atol=0.05)
    assert len(steps) == 4
    before, after = list(module.rest.parameters()), list(changed.rest.parameters())
    assert [each.shape for each in before] == [each.shape for each in after]


def test_what_is_dropped_pays_for_what_is_split(module: ContractGenerator) -> None:
    changed = copy.deepcopy(module)
    balance(changed)
    widths = (
        [each.in_features for each in linear(module)],
        [each.weight.shape[1] for each in linear(changed)],
    )
    assert widths[0] == list(UNITS)
    splits = [now - (was - DEAD) for was, now in zip(*widths, strict=True)]
    assert sum(splits) > 0
    assert all(split >= 0 for split in splits)
    a_unit = [2 * (10 + 4) + UNITS[1], UNITS[0] + 6 * 7]  # bytes in the layers around it
    assert sum(s * a for s, a in zip(splits, a_unit, strict=True)) <= DEAD * sum(a_unit)


def test_a_split_unit_goes_on_where_its_byte_is_full(module: ContractGenerator) -> None:
    changed = copy.deepcopy(module)
    steps = balance(changed)
    full = 255 * next(iter(steps.values()))
    sums = changed.hidden(*noise_and_labels(changed, IMAGES)).detach()
    pairs = [
        (first, second)
        for first in range(sums.shape[1])
        for second in range(sums.shape[1])
        if first != second
        and torch.allclose(sums[:, first] - full, sums[:, second], atol=1e-3 * full)
    ]
    assert pairs
    weight = linear(changed)[0].weight
    for first, second in pairs:
        assert torch.equal(weight[:, first], weight[:, second])
    assert any((sums[:, first] > full).any() for first, _ in pairs)  # and they do go on


def test_neighbours_differ_in_sign(module: ContractGenerator) -> None:
    joint = balancing._joints(copy.deepcopy(module))[1]
    units = torch.arange(len(joint.sensed.reach))
    order = balancing._paired(joint, units)
    assert sorted(order.tolist()) == units.tolist()
    weight = joint.after.weight.detach() * balancing._start(balancing._raised(joint.sensed.reach))
    sums = [pair_sums(weight[:, each]).amax(1).mean() for each in (order, units)]
    assert sums[0] < 0.9 * sums[1]


def test_less_is_rounded_away(module: ContractGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside units as they were trained."""
    noise, label = noise_and_labels(module, IMAGES)

    def error() -> float:
        images = quantize(module).generate(noise, label).flatten(1)
        return (images - drawn(module).round()).abs().mean().item()

    balanced = error()
    monkeypatch.setattr(balancing, "_factors", lambda _joint, reach, _units: torch.ones_like(reach))
    monkeypatch.setattr(balancing, "_paired", lambda _joint, units: torch.arange(len(units)))
    monkeypatch.setattr(balancing, "_living", lambda joint: torch.arange(len(joint.sensed.reach)))
    assert balanced < 0.8 * error()


def test_gains_are_what_a_change_shows(module: ContractGenerator) -> None:
    """Move one layer's inputs by hand, and see how the images change."""
    layer, sensed = module.rest[3], measure_sensitivity(module)[1]
    noise, label = noise_and_labels(module, IMAGES)
    with torch.no_grad():
        inputs = module.rest[:3](module.hidden(noise, label))
        for unit in (DEAD + 1, UNITS[1] - 1):
            moved = inputs.clone()
            moved[:, unit] += 1e-3 * (inputs[:, unit] > 0)
            change = 255 * (layer(moved).sigmoid() - layer(inputs).sigmoid()) / 1e-3
            wanted = change.square().sum(1).mean().item()
            assert sensed.input_gain[unit].item() == pytest.approx(wanted, rel=0.25)
    assert (sensed.reach[:DEAD] == 0).all()
    assert (sensed.reach[DEAD:] >= 0.8 * inputs.amax(0)[DEAD:]).all()


def linear(module: ContractGenerator) -> list[nn.Linear]:
    return [layer for layer in module.rest if isinstance(layer, nn.Linear)]
