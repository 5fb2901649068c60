"""Scales, drops and splits a network's units so that bytes serve them best; its images stay.

A ReLU lets a positive factor through: what a layer's outputs are divided by, the next layer's
weights are multiplied with (Nagel et al. 2019, section 4.1). A unit that is divided by less fills
more of the byte that its whole layer shares, and is rounded less; but its weights are smaller
beside those that set the steps of their outputs, and are rounded more. How much either shows in
the image is measured, and their sum made as small as it gets.

A unit that never lights up is dropped. What it took pays for others to become two: one ends where
the byte is full, the other begins there, and their whole layer can have finer steps.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from cgan_export.errors import VerificationError
from cgan_export.int8.rounding import per_output, weight_matrix
from cgan_export.int8.scales import (
    MAX_ACTIVATION,
    MAX_CONVOLUTION_BIAS,
    MAX_LINEAR_BIAS,
    MAX_WEIGHT_PAIR,
    MIN_SCALE,
    pair_sums,
    weight_scales,
)
from cgan_export.int8.sensitivity import LayerSensitivity, measure_sensitivity
from cgan_export.tracing.trace import ContractGenerator

OF_WEIGHTS = 0.5  # of what rounding them to the nearest adds, rounding.py leaves about so much
ROUNDS, RATE = 200, 0.05  # of the search for factors
NORM = 32  # of this order stands for the largest: it has a slope for all
SHARPNESS = 4  # the power of weights that says how much they matter to a largest sum
LEAST_REACH = 1e-4  # of its layer's largest: a unit below counts as one of that reach
NOTHING = 1e-30  # where all is 0, a logarithm and a ratio need something
FIRST_BYTES = 2  # of a weight of the first layer, float16


@dataclass(frozen=True)
class _Joint:
    """Where one layer's units become the next one's inputs."""

    # What makes the units: whose tensor, its name, its dimension of units. The last is what is
    # added to their sums.
    before: list[tuple[nn.Module, str, int]]
    relu: str  # name of the layer between the two, in rest
    name: str  # of the next layer, in rest
    after: nn.Linear | nn.Conv2d
    bias: Tensor  # of it
    unit_bytes: int  # that a unit takes in both; 0 where units can neither come nor go
    sensed: LayerSensitivity  # of the next layer

    @cached_property
    def whole(self) -> tuple[Tensor, Tensor]:
        """The order of the units and what to divide all of them by, where none is split."""
        units = torch.arange(len(self.sensed.reach))
        if self.unit_bytes:
            units = _living(self)
            units = units[_paired(self, units)]
        return units, _factors(self, self.sensed.reach, units)


def balance(module: ContractGenerator) -> dict[str, float]:
    """Change a network's units.

    Args:
        module: in eval mode, on the CPU. Its ReLUs become nn.Hardtanh, which end where the byte is
            full.

    Returns:
        What a step of each layer's inputs is worth, by the layer's name in module.rest.

    Raises:
        VerificationError: its layers do not meet at ReLUs.
    """
    joints = _joints(module)
    chosen = _chosen(joints)
    with torch.no_grad():
        return {
            joint.name: _apply(module, joint, split, following)
            for joint, split, following in zip(joints, chosen, [*joints[1:], None], strict=True)
        }


def _joints(module: ContractGenerator) -> list[_Joint]:
    joints: list[_Joint] = []
    before: list[tuple[nn.Module, str, int]]
    before = [(module, "noise_weight", 1), (module, "label_table", 1)]
    makes = FIRST_BYTES * (len(module.noise_weight) + len(module.label_table))  # bytes of a unit
    sensed = iter(measure_sensitivity(module))
    between: dict[str, nn.Module] = {}
    for name, layer in module.rest.named_children():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            between[name] = layer
            continue
        relus = [each for each in between if isinstance(between[each], nn.ReLU)]
        others = [each for each in between.values() if not isinstance(each, nn.ReLU | nn.Unflatten)]
        if len(relus) != 1 or others or layer.bias is None:
            raise VerificationError(
                "int8 needs a ReLU before each layer and a bias in it; export with --precision fp16"
            )
        plain = isinstance(layer, nn.Linear) and makes and len(between) == 1
        unit_bytes = makes + len(layer.weight) if plain else 0
        joints.append(_Joint(before, relus[0], name, layer, layer.bias, unit_bytes, next(sensed)))
        before = [(layer, "weight", 0), (layer, "bias", 0)]
        makes = layer.weight.shape[1] if isinstance(layer, nn.Linear) else 0
        between = {}
    return joints


def _chosen(joints: list[_Joint]) -> list[Tensor]:
    """Return each layer's units to split: what gains most a byte, for the bytes of the dropped."""
    room = sum(
        (len(joint.sensed.reach) - len(_living(joint))) * joint.unit_bytes for joint in joints
    )
    ranked = []
    for number, joint in enumerate(joints):
        if room and joint.unit_bytes:
            shown = _shown(joint, joint.sensed.reach, joint.whole[1])
            ranked += [
                (gain / joint.unit_bytes, number, unit) for unit, gain in enumerate(shown.tolist())
            ]
    chosen: list[list[int]] = [[] for _ in joints]
    for _, number, unit in sorted(ranked, reverse=True):
        if joints[number].unit_bytes <= room:
            room -= joints[number].unit_bytes
            chosen[number].append(unit)
    return [torch.tensor(each, dtype=torch.int64) for each in chosen]


def _living(joint: _Joint) -> Tensor:
    """Return the units that ever light up; of a layer where none does, all."""
    living = joint.sensed.reach.nonzero().squeeze(1)
    return living if len(living) else torch.arange(len(joint.sensed.reach))


def _paired(joint: _Joint, units: Tensor) -> Tensor:
    """Return an order of units in which neighbours' weights differ in sign where they are large.

    Neighbours of one sign add up, and the largest sum sets the steps of an output's weights.
    """
    weight = joint.after.weight.detach() * _start(_raised(joint.sensed.reach))
    weight = (weight / weight.abs().amax(1, keepdim=True).clamp(min=MIN_SCALE))[:, units]
    up, down = weight.clamp(min=0) ** SHARPNESS, weight.clamp(max=0) ** SHARPNESS
    alike = up.T @ up + down.T @ down  # [units, units], how much two add up
    alike.fill_diagonal_(torch.inf)
    left, order = set(range(len(units))), list[int]()
    for unit in (up + down).sum(0).argsort(descending=True).tolist():
        if unit in left:
            pair = [unit, int(alike[unit].argmin())] if len(left) > 1 else [unit]
            alike[:, pair] = torch.inf
            left.difference_update(pair)
            order += pair
    return torch.tensor(order)


def _apply(
    module: ContractGenerator, joint: _Joint, split: Tensor, following: _Joint | None
) -> float:
    """Change the units between two layers; return what a step of them is worth."""
    reach, after = joint.sensed.reach.clone(), joint.after
    if len(split):
        reach[split] /= 2
        units = torch.cat([_living(joint), split])
        order = _paired(joint, units)
        seconds, units = (order >= len(units) - len(split)).nonzero().squeeze(1), units[order]
        factor = _factors(joint, reach, units)
    else:
        seconds, (units, factor) = split, joint.whole
    for owner, name, dimension in joint.before:
        made = getattr(owner, name)
        # An Unflatten makes several outputs one channel.
        each = factor.repeat_interleave(made.shape[dimension] // len(factor))
        made.div_(each if dimension else per_output(each, made))
    after.weight.mul_(per_output(factor, after.weight[0]))
    # As small as the units allow, and large enough for the bias of those that are not dropped.
    most = MAX_LINEAR_BIAS if isinstance(after, nn.Linear) else MAX_CONVOLUTION_BIAS
    in_steps = joint.bias.abs() / weight_scales(weight_matrix(after.weight))
    if following is not None and following.unit_bytes:
        in_steps = in_steps[_living(following)]
    furthest = (reach / factor).max().item() / MAX_ACTIVATION
    step = max(furthest, in_steps.max().item() / most, MIN_SCALE)
    full = MAX_ACTIVATION * step
    module.rest.set_submodule(joint.relu, nn.Hardtanh(0.0, full))
    if joint.unit_bytes:
        for owner, name, dimension in joint.before:
            setattr(owner, name, nn.Parameter(getattr(owner, name).index_select(dimension, units)))
        owner, name, _ = joint.before[-1]
        getattr(owner, name)[..., seconds] -= full
        after.weight = nn.Parameter(after.weight.index_select(1, units))
    return step


def _raised(reach: Tensor) -> Tensor:
    """Return reaches of which none is too small to divide by, [channels]."""
    return reach.clamp(min=max(LEAST_REACH * reach.max().item(), MIN_SCALE))


def _start(reach: Tensor) -> Tensor:
    """Return what to divide units of such raised reaches by to begin with, [channels]."""
    return (reach / reach.max()) ** 0.7


def _factors(joint: _Joint, reach: Tensor, units: Tensor) -> Tensor:
    """Return what to divide units by, [channels], so that what rounding adds is small.

    Args:
        joint: whose units.
        reach: of each, float32 [channels].
        units: the order in which the next layer gets them; some never, some twice.
    """
    reach, weight = _raised(reach), joint.after.weight.detach().index_select(1, units)
    logarithms = _start(reach).log().detach().requires_grad_()
    optimizer = torch.optim.Adam([logarithms], RATE)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, ROUNDS)
    with torch.enable_grad():
        for _ in range(ROUNDS):
            optimizer.zero_grad()
            factor = logarithms.exp()
            of_inputs = _shown(joint, reach, factor).sum()
            scaled = weight * per_output(factor[units], weight[0])
            of_weights = _weights_shown(joint, factor, scaled)
            (of_inputs + OF_WEIGHTS * of_weights).clamp(min=NOTHING).log().backward()
            optimizer.step()
            decay.step()
    return logarithms.detach().exp()


def _shown(joint: _Joint, reach: Tensor, factor: Tensor) -> Tensor:
    """Return how much the rounding of units shows, [channels]: the furthest sets the steps."""
    step = _largest(reach / factor, 0) / MAX_ACTIVATION
    return (step * factor).square() / 12 * joint.sensed.input_gain


def _weights_shown(joint: _Joint, factor: Tensor, scaled: Tensor) -> Tensor:
    """Return how much the rounding of weights shows: an output's largest pair sets its steps."""
    step = _largest(pair_sums(weight_matrix(scaled)), 1) / MAX_WEIGHT_PAIR
    energy = (joint.sensed.energy / factor.square()).sum() * scaled[0, 0].numel()  # of all taps
    return (joint.sensed.output_gain * step.square()).sum() * energy / 12


def _largest(values: Tensor, dimension: int) -> Tensor:
    """Return the largest along a dimension of values that are not negative, smoothed upwards."""
    most = values.detach().amax(dimension, keepdim=True).clamp(min=NOTHING)
    sums = (values / most).pow(NORM).sum(dimension) + NOTHING
    return sums.pow(1 / NORM) * most.squeeze(dimension)
