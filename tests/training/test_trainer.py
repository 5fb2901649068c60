"""Training steps, and the state that a checkpoint holds."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from run_results import CPU
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from cgan_runtime.noise import standard_normal
from cgan_training.data import Dataset
from cgan_training.engine import Trainer
from cgan_training.engine import trainer as trainer_module
from cgan_training.engine.augmentation import SMALL_DATASET
from cgan_training.errors import DivergedError
from cgan_training.losses import AuxiliaryTerm, GeneratorInputs
from cgan_training.networks import to_float, to_uint8
from cgan_training.recipe import (
    ConvolutionalDiscriminatorSettings,
    ConvolutionalGeneratorSettings,
    LogisticLossSettings,
    Recipe,
    load_recipe,
)

Make = Callable[..., Trainer]


@pytest.fixture
def make(small_recipe: Recipe, digits: Dataset) -> Make:
    """Make a trainer of the small recipe with some changes."""
    return lambda **changes: Trainer(replace(small_recipe, **changes), digits, CPU)


@pytest.fixture
def trainer(make: Make) -> Trainer:
    return make()


@pytest.fixture
def make_edge(digits: Dataset) -> Make:
    """Make a trainer of edge, which uses every feature of training, with tiny networks."""
    recipe = replace(
        load_recipe("edge"),
        generator=ConvolutionalGeneratorSettings(hidden=16, channels=4, convolutions=1),
        discriminator=ConvolutionalDiscriminatorSettings(
            (8, 8, 12), hidden=16, minibatch_stddev=True, minibatch_stddev_fades=True
        ),
        noise_dim=10,
        learning_rate=1e-3,
        batch_size=100,
        epochs=2,
        min_images_per_epoch=1,
        precision="fp32",
    )
    return lambda **changes: Trainer(replace(recipe, **changes), digits, CPU)


def weights(trainer: Trainer) -> list[Tensor]:
    networks = (trainer.state.generator, trainer.state.discriminator)
    return [weight for network in networks for weight in network.parameters()]


def steps(count: int) -> Callable[[int, Tensor], bool]:
    """Return a callback that interrupts the epoch after some of its steps."""
    return lambda done, _sums: done < count


def test_an_epoch_computes_the_weights_of_the_textbook_loop(
    trainer: Trainer, digits: Dataset
) -> None:
    networks = (trainer.state.generator, trainer.state.discriminator.discriminator)
    generator, discriminator = networks = copy.deepcopy(networks)
    trainer.train_epoch()

    rng = torch.Generator().manual_seed(trainer.recipe.seed)
    optimizer_g, optimizer_d = (torch.optim.Adam(net.parameters(), 2e-4) for net in networks)
    ones, zeros = torch.ones(100), torch.zeros(100)

    def generate() -> tuple[Tensor, Tensor]:
        label = torch.randint(10, (100,), generator=rng)
        return generator(torch.randn(100, 10, generator=rng), label), label

    for batch in torch.randperm(1500, generator=rng).split(100):
        optimizer_g.zero_grad()
        cross_entropy(discriminator(*generate()).logits, ones).backward()
        optimizer_g.step()

        optimizer_d.zero_grad()
        real, (fake, fake_label) = to_float(digits.images[batch]), generate()
        loss = cross_entropy(discriminator(real, digits.labels[batch]).logits, ones)
        loss += cross_entropy(discriminator(fake.detach(), fake_label).logits, zeros)
        (loss / 2).backward()
        optimizer_d.step()
    expected = [*generator.parameters(), *discriminator.parameters()]
    for weight, other in zip(weights(trainer), expected, strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-3, atol=2e-5)


def test_the_seed_determines_the_weights(make: Make) -> None:
    first, same, other = make(), make(), make(seed=1)
    for each in (first, same, other):
        each.train_epoch(steps(3))
    assert all(map(torch.equal, weights(first), weights(same)))
    assert not any(map(torch.equal, weights(first), weights(other)))


def test_epochs_report_their_metrics(trainer: Trainer) -> None:
    interrupted = trainer.train_epoch(steps(4))
    assert not trainer.is_between_epochs
    epochs = [interrupted, trainer.train_epoch(), trainer.train_epoch()]
    assert trainer.is_between_epochs
    assert [epoch.epoch for epoch in epochs] == [1, 1, 2]
    assert [epoch.step for epoch in epochs] == [4, 15, 30]  # 1,500 images in batches of 100
    for epoch in epochs:
        assert 0 < epoch.mean_d_real < 1
        assert 0 < epoch.mean_d_fake < 1
        assert 0 < epoch.loss_discriminator < 2 * math.log(2)  # an untrained one has ln 2
        assert epoch.images_per_second > 0
    assert epochs[0].seconds < epochs[1].seconds < epochs[2].seconds


def test_an_epoch_repeats_a_small_dataset(make: Make, trainer: Trainer, digits: Dataset) -> None:
    few = replace(digits, images=digits.images[:30], labels=digits.labels[:30])
    assert Trainer(trainer.recipe, few, CPU).train_epoch().step == 1
    trainer = make(min_images_per_epoch=4000)
    assert (trainer.passes_per_epoch, trainer.steps_per_epoch) == (3, 45)  # 4,500 images


def test_losses_that_are_not_finite_end_the_run(trainer: Trainer) -> None:
    with torch.no_grad():
        weights(trainer)[0].fill_(math.nan)
    with pytest.raises(DivergedError, match="epoch 1 are not finite; lower"):
        trainer.train_epoch()


def test_sample_images_use_the_noise_of_the_runtime(trainer: Trainer) -> None:
    images = trainer.sample_images()
    assert images.shape == (100, 1, 28, 28)
    noise = torch.from_numpy(standard_normal(trainer.recipe.seed, 37, 1, trainer.recipe.noise_dim))
    with torch.no_grad():
        alone = to_uint8(trainer.finished_generator()(noise, torch.tensor([7])))
    assert (alone.int() - images[37].int()).abs().max() <= 1
    assert torch.equal(images, trainer.sample_images())


def test_only_small_datasets_are_augmented(make: Make, digits: Dataset) -> None:
    trainers, times = (make(), make(augment_probability=0.5)), SMALL_DATASET // 1500 + 1
    images, labels = digits.images.repeat(times, 1, 1, 1), digits.labels.repeat(times)
    large = replace(digits, images=images, labels=labels)
    assert Trainer(trainers[1].recipe, large, CPU).augment_probability == 0
    losses = {each.train_epoch(steps(2)).loss_discriminator for each in trainers}
    assert len(losses) == 2


def test_the_finished_generator_has_the_ema_weights(make: Make) -> None:
    plain, averaging = make(), make(ema_decay=0.9)
    average: list[Tensor] = []

    def average_weights(_done: int, _sums: Tensor) -> bool:
        current = [weight.detach() for weight in averaging.state.generator.parameters()]
        average.extend(weight.clone() for weight in current[len(average) :])
        decay = min(0.9, averaging.step / (averaging.step + 9))
        for mean, weight in zip(average, current, strict=True):
            mean.lerp_(weight, 1 - decay)
        return True

    averaging.train_epoch(average_weights)
    plain.train_epoch()
    for weight, mean in zip(averaging.finished_generator().parameters(), average, strict=True):
        torch.testing.assert_close(weight, mean)
    assert not torch.equal(average[0], weights(averaging)[0])
    assert all(map(torch.equal, weights(averaging), weights(plain)))  # training is not affected


def test_the_finished_generator_applies_noise_std(make: Make) -> None:
    plain, wide = make(), make(noise_std=1.5)
    assert all(map(torch.equal, weights(plain), weights(wide)))
    noise, label = torch.randn(10, plain.recipe.noise_dim), torch.arange(10)
    generated = wide.finished_generator()(noise, label)
    torch.testing.assert_close(generated, plain.finished_generator()(noise * 1.5, label))


def test_the_finished_generator_is_cached_until_the_next_step(trainer: Trainer) -> None:
    first = trainer.finished_generator()
    assert trainer.finished_generator() is first
    trainer.train_epoch(steps(1))
    assert trainer.finished_generator() is not first


def test_bf16_trains_almost_like_fp32(make: Make) -> None:
    exact, rounded = make(precision="fp32"), make(precision="bf16")
    one, other = exact.train_epoch(), rounded.train_epoch()
    assert one.loss_generator != other.loss_generator
    assert one.loss_generator == pytest.approx(other.loss_generator, rel=0.1)
    assert one.loss_discriminator == pytest.approx(other.loss_discriminator, rel=0.1)
    assert all(weight.dtype == torch.float32 for weight in weights(rounded))


def test_a_restored_state_continues_bit_for_bit(make_edge: Make) -> None:
    first, second = make_edge(), make_edge()
    first.train_epoch(steps(7))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert first.train_epoch().loss_generator == second.train_epoch().loss_generator
    assert all(map(torch.equal, weights(first), weights(second)))
    assert torch.equal(first.sample_images(), second.sample_images())


@pytest.fixture
def capturing(make_edge: Make, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """A trainer in the mode for CUDA graphs, whose steps are not captured."""
    monkeypatch.setattr(trainer_module, "CudaGraphStep", lambda step, _rng: step)
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "can_capture", lambda _device, _processes: True)
        return make_edge()


def test_a_capturable_step_trains_the_same_weights(capturing: Trainer, make_edge: Make) -> None:
    first, second = capturing, make_edge()
    rate, progress = first.state.optimizer_g.param_groups[0]["lr"], first.progress_input
    before = torch.cat([each.detach().flatten() for each in weights(first)])
    for trainer in (first, second):
        trainer.train_epoch(steps(12))
    # A captured graph reads these very tensors.
    assert first.state.optimizer_g.param_groups[0]["lr"] is rate
    assert first.progress_input is progress
    assert float(progress) == pytest.approx(float(second.progress_input))
    assert float(rate) == pytest.approx(second.state.optimizer_g.param_groups[0]["lr"])
    after, other = (torch.cat([each.flatten() for each in weights(t)]) for t in (first, second))
    assert (after - other).abs().mean() < 0.01 * (after - before).abs().mean()


def test_a_state_moves_between_a_gpu_and_a_cpu(capturing: Trainer, make_edge: Make) -> None:
    plain, gpu, back = make_edge(), capturing, make_edge()
    plain.train_epoch(steps(7))
    old_graphs, group = gpu.graph_step, gpu.state.optimizer_d.param_groups[0]
    rate = group["lr"]
    gpu.load_state_dict(copy.deepcopy(plain.state_dict()))
    assert gpu.graph_step is not old_graphs  # which refer to replaced tensors
    (group,) = gpu.state.optimizer_d.param_groups
    assert group["lr"] is rate
    assert group["capturable"]
    back.load_state_dict(copy.deepcopy(gpu.state_dict()))
    (group,) = back.state.optimizer_d.param_groups
    assert group["capturable"] is False
    assert type(group["lr"]) is float
    assert group["lr"] == pytest.approx(plain.state.optimizer_d.param_groups[0]["lr"])
    losses = [each.train_epoch().loss_generator for each in (plain, back)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_the_r1_penalty_changes_the_weights_but_not_the_reported_loss(make_edge: Make) -> None:
    losses, sizes = [], []
    for loss in (LogisticLossSettings(), LogisticLossSettings(r1_weight=1e3, r1_interval=1)):
        trainer = make_edge(loss=loss)
        losses.append(trainer.train_epoch(steps(1)).loss_discriminator)
        trainer.train_epoch(steps(12))
        sizes.append(next(trainer.state.discriminator.parameters()).abs().mean().item())
    assert losses[0] == losses[1]
    assert sizes[0] > sizes[1]  # a flat discriminator has smaller weights


@pytest.mark.parametrize("key", ["classification_weight", "noise_reconstruction_weight"])
def test_auxiliary_terms_improve_their_prediction(make_edge: Make, key: str) -> None:
    losses = []
    noise = torch.randn(500, 10, generator=torch.Generator().manual_seed(1))
    inputs = GeneratorInputs(noise, torch.arange(500) % 10)
    for weight in (1e-6, 30.0):
        loss = LogisticLossSettings(**dict[str, Any]({key: weight}))
        trainer = make_edge(epochs=9, loss=loss)
        for _ in range(3):
            trainer.train_epoch()
        (term,) = trainer.state.discriminator.terms
        assert isinstance(term, AuxiliaryTerm)
        with torch.no_grad():
            image = trainer.state.generator(*inputs)
            (prediction,) = trainer.state.discriminator(image, inputs.label)[1]
            losses.append(term.generator_loss(prediction, inputs).item())
    assert losses[1] < 0.85 * losses[0]


def test_the_learning_rate_decays_to_zero(make: Make) -> None:
    trainer = make(lr_decay=0.5)
    rates: list[float] = []

    def record(_done: int, _sums: Tensor) -> bool:
        optimizers = trainer.state.optimizer_g, trainer.state.optimizer_d
        rates.extend({optimizer.param_groups[0]["lr"] for optimizer in optimizers})
        return True

    trainer.train_epoch(record)
    trainer.train_epoch(record)
    assert rates[:16] == [2e-4] * 16
    assert rates[16:] == pytest.approx([2e-4 * (1 - step / 30) / 0.5 for step in range(16, 30)])


def test_until_a_restart_the_run_equals_one_that_ends_there(make: Make) -> None:
    trainer, short = make(lr_decay=1.0, epochs=3, lr_restarts=(1,)), make(lr_decay=1.0, epochs=1)
    assert trainer.train_epoch().loss_generator == short.train_epoch().loss_generator
    assert (short.progress, trainer.progress) == (1.0, 1 / 3)


def test_a_time_limit_shortens_the_schedule(make: Make) -> None:
    trainer = make(lr_decay=1.0)
    trainer.state.seconds, trainer.seconds_limit = 30.0, 40.0
    trainer.train_epoch(steps(0))
    rate = trainer.state.optimizer_g.param_groups[0]["lr"]
    assert rate == pytest.approx(0.25 * 2e-4, rel=0.01)
