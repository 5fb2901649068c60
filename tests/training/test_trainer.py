import copy
import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from cgan_runtime.noise import standard_normal
from cgan_training.data import Dataset
from cgan_training.engine import Trainer
from cgan_training.engine import trainer as trainer_module
from cgan_training.engine.augmentation import SMALL_DATASET
from cgan_training.errors import DivergedError, RecipeError
from cgan_training.hardware.cuda_graph import CudaGraphStep
from cgan_training.hardware.processes import ProcessGroup
from cgan_training.networks import Discriminator, Generator, to_float, to_uint8
from cgan_training.recipe import (
    ConvolutionalDiscriminator,
    ConvolutionalGenerator,
    LogisticLoss,
    Recipe,
)

CPU = torch.device("cpu")


@pytest.fixture
def trainer(small_recipe: Recipe, digits: Dataset) -> Trainer:
    return Trainer(small_recipe, digits, CPU)


@pytest.fixture
def full_recipe(small_recipe: Recipe) -> Recipe:
    """Uses every feature that the classic recipe does not."""
    return dataclasses.replace(
        small_recipe,
        generator=ConvolutionalGenerator(hidden=16, channels=4, convolutions=1),
        discriminator=ConvolutionalDiscriminator(
            (8, 8, 12), hidden=16, minibatch_stddev=True, minibatch_stddev_fades=True
        ),
        loss=LogisticLoss(
            r1_weight=0.5,
            r1_interval=3,
            classification_weight=0.5,
            noise_reconstruction_weight=0.5,
        ),
        learning_rate=1e-3,
        adam_betas=(0.0, 0.99),
        lr_decay=0.5,
        ema_decay=0.99,
    )


def weights(trainer: Trainer) -> list[Tensor]:
    networks = (trainer.state.generator, trainer.state.discriminator)
    return [weight for network in networks for weight in network.parameters()]


def steps(count: int) -> Callable[[int, Tensor], bool]:
    """Return a callback that interrupts the epoch after some of its steps."""
    return lambda done, _sums: done < count


def textbook_epoch(
    recipe: Recipe, data: Dataset, generator: Generator, discriminator: Discriminator
) -> list[Tensor]:
    """Train one epoch as in a textbook, and return all weights."""
    random = torch.Generator().manual_seed(recipe.seed)
    optimizer_g, optimizer_d = (
        torch.optim.Adam(network.parameters(), recipe.learning_rate, recipe.adam_betas)
        for network in (generator, discriminator)
    )

    def generate(count: int) -> tuple[Tensor, Tensor]:
        label = torch.randint(data.classes, (count,), generator=random)
        noise = torch.randn(count, recipe.noise_dim, generator=random)
        return generator(noise, label), label

    for batch in torch.randperm(len(data.labels), generator=random).split(recipe.batch_size):
        real, label, ones = to_float(data.images[batch]), data.labels[batch], torch.ones(len(batch))
        optimizer_g.zero_grad()
        probability = torch.sigmoid(discriminator(*generate(len(batch))).logits)
        binary_cross_entropy(probability, ones).backward()
        optimizer_g.step()

        optimizer_d.zero_grad()
        fake, fake_label = generate(len(batch))
        d_real = torch.sigmoid(discriminator(real, label).logits)
        d_fake = torch.sigmoid(discriminator(fake.detach(), fake_label).logits)
        loss = binary_cross_entropy(d_real, ones) + binary_cross_entropy(d_fake, 0 * ones)
        (loss / 2).backward()
        optimizer_d.step()
    return [*generator.parameters(), *discriminator.parameters()]


def test_an_epoch_computes_the_weights_of_the_textbook_loop(
    trainer: Trainer, small_recipe: Recipe, digits: Dataset
) -> None:
    generator = copy.deepcopy(trainer.state.generator)
    discriminator = copy.deepcopy(trainer.state.discriminator.discriminator)
    trainer.train_epoch()
    expected = textbook_epoch(small_recipe, digits, generator, discriminator)
    for weight, other in zip(weights(trainer), expected, strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-3, atol=2e-5)


def test_the_seed_determines_the_weights(
    trainer: Trainer, small_recipe: Recipe, digits: Dataset
) -> None:
    same = Trainer(small_recipe, digits, CPU)
    other = Trainer(dataclasses.replace(small_recipe, seed=1), digits, CPU)
    for each in (trainer, same, other):
        each.train_epoch(steps(3))
    assert all(map(torch.equal, weights(trainer), weights(same)))
    assert not any(map(torch.equal, weights(trainer), weights(other)))


def test_epochs_report_their_metrics(trainer: Trainer) -> None:
    epochs = [trainer.train_epoch(), trainer.train_epoch()]
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert [epoch.step for epoch in epochs] == [15, 30]  # 1,500 images in batches of 100
    for epoch in epochs:
        assert 0 < epoch.mean_d_real < 1
        assert 0 < epoch.mean_d_fake < 1
        assert 0 < epoch.loss_discriminator < 2 * math.log(2)  # an untrained one has ln 2
        assert epoch.images_per_second > 0
    assert epochs[0].seconds < epochs[1].seconds


def test_an_epoch_can_be_interrupted(trainer: Trainer) -> None:
    assert trainer.train_epoch(steps(4)).step == 4
    assert not trainer.epoch_is_complete


def test_an_epoch_repeats_a_small_dataset(small_recipe: Recipe, digits: Dataset) -> None:
    few = dataclasses.replace(digits, images=digits.images[:30], labels=digits.labels[:30])
    assert Trainer(small_recipe, few, CPU).train_epoch().step == 1
    recipe = dataclasses.replace(small_recipe, min_images_per_epoch=4000)
    trainer = Trainer(recipe, digits, CPU)
    assert (trainer.passes, trainer.steps_per_epoch) == (3, 45)  # 4,500 images


def test_losses_that_are_not_finite_end_the_run(trainer: Trainer) -> None:
    with torch.no_grad():
        weights(trainer)[0].fill_(math.nan)
    with pytest.raises(DivergedError, match="epoch 1 are not finite; lower"):
        trainer.train_epoch()


def test_a_batch_that_cannot_be_shared_evenly_is_refused(
    small_recipe: Recipe, digits: Dataset
) -> None:
    with pytest.raises(RecipeError, match="3 processes cannot share batches of 100 evenly"):
        Trainer(small_recipe, digits, CPU, ProcessGroup(0, 3))


def test_sample_images_use_the_noise_of_the_runtime(trainer: Trainer) -> None:
    images = trainer.sample_images()
    assert images.shape == (100, 1, 28, 28)
    noise = torch.from_numpy(standard_normal(trainer.recipe.seed, 37, 1, trainer.recipe.noise_dim))
    with torch.no_grad():
        alone = to_uint8(trainer.finished_generator()(noise, torch.tensor([7])))
    assert (alone.int() - images[37].int()).abs().max() <= 1
    assert torch.equal(images, trainer.sample_images())


def test_small_datasets_alone_are_augmented(small_recipe: Recipe, digits: Dataset) -> None:
    recipe = dataclasses.replace(small_recipe, augment_probability=0.5)
    times = -(-SMALL_DATASET // len(digits.labels))
    large = dataclasses.replace(
        digits, images=digits.images.repeat(times, 1, 1, 1), labels=digits.labels.repeat(times)
    )
    assert Trainer(recipe, large, CPU).augment_probability == 0
    trainers = Trainer(small_recipe, digits, CPU), Trainer(recipe, digits, CPU)
    assert [each.augment_probability for each in trainers] == [0, 0.5]
    losses = {each.train_epoch(steps(2)).loss_discriminator for each in trainers}
    assert len(losses) == 2


def test_the_finished_generator_has_the_averaged_weights(
    small_recipe: Recipe, digits: Dataset
) -> None:
    trainer = Trainer(dataclasses.replace(small_recipe, ema_decay=0.9), digits, CPU)
    plain = Trainer(small_recipe, digits, CPU)
    average: list[Tensor] = []

    def follow(_done: int, _sums: Tensor) -> bool:
        current = [weight.detach() for weight in trainer.state.generator.parameters()]
        if not average:
            average.extend(weight.clone() for weight in current)
        decay = min(0.9, trainer.step / (trainer.step + 9))
        for mean, weight in zip(average, current, strict=True):
            mean.lerp_(weight, 1 - decay)
        return True

    trainer.train_epoch(follow)
    plain.train_epoch()
    finished = list(trainer.finished_generator().parameters())
    for weight, mean in zip(finished, average, strict=True):
        torch.testing.assert_close(weight, mean)
    assert not torch.equal(finished[0], weights(trainer)[0])
    assert all(map(torch.equal, weights(trainer), weights(plain)))  # training is not affected


def test_the_finished_generator_applies_noise_std(small_recipe: Recipe, digits: Dataset) -> None:
    plain = Trainer(small_recipe, digits, CPU)
    wide = Trainer(dataclasses.replace(small_recipe, noise_std=1.5), digits, CPU)
    assert all(map(torch.equal, weights(plain), weights(wide)))
    noise, label = torch.randn(10, small_recipe.noise_dim), torch.arange(10)
    generated = wide.finished_generator()(noise, label)
    torch.testing.assert_close(generated, plain.finished_generator()(noise * 1.5, label))
    assert not torch.allclose(generated, plain.finished_generator()(noise, label), atol=1e-4)


def test_the_finished_generator_is_cached_until_the_next_step(trainer: Trainer) -> None:
    first = trainer.finished_generator()
    assert trainer.finished_generator() is first
    trainer.train_epoch(steps(1))
    assert trainer.finished_generator() is not first


def test_bf16_trains_almost_like_fp32(small_recipe: Recipe, digits: Dataset) -> None:
    exact, rounded = (
        Trainer(dataclasses.replace(small_recipe, precision=precision), digits, CPU)
        for precision in ("fp32", "bf16")
    )
    one, other = exact.train_epoch(), rounded.train_epoch()
    assert one.loss_generator != other.loss_generator
    assert one.loss_generator == pytest.approx(other.loss_generator, rel=0.1)
    assert one.loss_discriminator == pytest.approx(other.loss_discriminator, rel=0.1)
    assert all(weight.dtype == torch.float32 for weight in weights(rounded))


def test_a_restored_state_continues_bit_for_bit(full_recipe: Recipe, digits: Dataset) -> None:
    first, second = (Trainer(full_recipe, digits, CPU) for _ in range(2))
    first.train_epoch(steps(7))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert first.train_epoch().loss_generator == second.train_epoch().loss_generator
    assert all(map(torch.equal, weights(first), weights(second)))
    assert torch.equal(first.sample_images(), second.sample_images())


@pytest.fixture
def capturing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Recipe, Dataset], Trainer]:
    """Make trainers whose steps read tensors, as on a GPU, but run directly."""

    def make(recipe: Recipe, data: Dataset) -> Trainer:
        with monkeypatch.context() as patch:
            patch.setattr(trainer_module, "can_capture", lambda _device, _processes: True)
            patch.setattr(trainer_module, "CudaGraphStep", lambda step, _random: step)
            return Trainer(recipe, data, CPU)

    return make


def test_a_capturable_step_trains_the_same_weights(
    full_recipe: Recipe, digits: Dataset, capturing: Callable[[Recipe, Dataset], Trainer]
) -> None:
    first, second = capturing(full_recipe, digits), Trainer(full_recipe, digits, CPU)
    rate, progress = first.state.optimizer_g.param_groups[0]["lr"], first.step_progress
    for trainer in (first, second):
        trainer.train_epoch()
        trainer.train_epoch(steps(7))
    # A captured graph reads these very tensors.
    assert first.state.optimizer_g.param_groups[0]["lr"] is rate
    assert first.step_progress is progress
    assert float(progress) == pytest.approx(float(second.step_progress))
    assert float(rate) == pytest.approx(second.state.optimizer_g.param_groups[0]["lr"])
    for weight, other in zip(weights(first), weights(second), strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-3, atol=2e-3)


def test_a_state_moves_between_a_gpu_and_a_cpu(
    full_recipe: Recipe, digits: Dataset, capturing: Callable[[Recipe, Dataset], Trainer]
) -> None:
    plain = Trainer(full_recipe, digits, CPU)
    plain.train_epoch(steps(7))
    gpu = capturing(full_recipe, digits)
    before, rate = gpu.graph_step, gpu.state.optimizer_d.param_groups[0]["lr"]
    gpu.graph_step = CudaGraphStep.__new__(CudaGraphStep)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_module, "CudaGraphStep", lambda _step, _random: before)
        gpu.load_state_dict(copy.deepcopy(plain.state_dict()))
    assert gpu.graph_step is before  # a new one: old graphs refer to replaced tensors
    group = gpu.state.optimizer_d.param_groups[0]
    assert group["lr"] is rate
    assert group["capturable"]
    back = Trainer(full_recipe, digits, CPU)
    back.load_state_dict(copy.deepcopy(gpu.state_dict()))
    restored = back.state.optimizer_d.param_groups[0]
    assert restored["capturable"] is False
    assert type(restored["lr"]) is float
    assert restored["lr"] == pytest.approx(plain.state.optimizer_d.param_groups[0]["lr"])
    assert plain.train_epoch().loss_generator == pytest.approx(
        back.train_epoch().loss_generator, rel=1e-3
    )


def test_the_r1_penalty_changes_the_weights_but_not_the_reported_loss(
    full_recipe: Recipe, digits: Dataset
) -> None:
    losses, sizes = [], []
    for loss in (LogisticLoss(), LogisticLoss(r1_weight=1e3, r1_interval=1)):
        trainer = Trainer(dataclasses.replace(full_recipe, loss=loss), digits, CPU)
        losses.append(trainer.train_epoch(steps(1)).loss_discriminator)
        trainer.train_epoch(steps(12))
        sizes.append(next(trainer.state.discriminator.parameters()).abs().mean().item())
    assert losses[0] == losses[1]
    assert sizes[0] > sizes[1]  # a flat discriminator has smaller weights


def predictions(recipe: Recipe, loss: LogisticLoss, digits: Dataset) -> tuple[Tensor, ...]:
    """Train for three epochs; return noise, label and predictions of 500 generated images."""
    recipe = dataclasses.replace(recipe, epochs=9, loss=loss)
    trainer = Trainer(recipe, digits, CPU)
    for _ in range(3):
        trainer.train_epoch()
    label = torch.arange(500) % 10
    noise = torch.randn(500, recipe.noise_dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        image = trainer.state.generator(noise, label)
        (prediction,) = trainer.state.discriminator(image, label)[1]
    return noise, label, prediction


def test_the_classification_term_teaches_the_labels(full_recipe: Recipe, digits: Dataset) -> None:
    accuracy = []
    for weight in (1e-6, 30.0):
        loss = LogisticLoss(classification_weight=weight)
        _, label, prediction = predictions(full_recipe, loss, digits)
        accuracy.append((prediction.argmax(1) == label).float().mean().item())
    assert accuracy[0] < 0.2  # chance is 0.1
    assert accuracy[1] > 0.3


def test_the_noise_reconstruction_term_teaches_the_noise(
    full_recipe: Recipe, digits: Dataset
) -> None:
    errors = []
    for weight in (1e-6, 10.0):
        loss = LogisticLoss(noise_reconstruction_weight=weight)
        noise, _, prediction = predictions(full_recipe, loss, digits)
        errors.append((prediction - noise).square().mean().item())
    assert errors[0] > 0.95  # the variance of the noise is 1
    assert errors[1] < 0.85


def test_the_learning_rate_falls_to_zero(small_recipe: Recipe, digits: Dataset) -> None:
    trainer = Trainer(dataclasses.replace(small_recipe, lr_decay=0.5), digits, CPU)
    rates: list[float] = []

    def record(_done: int, _sums: Tensor) -> bool:
        rates.append(trainer.state.optimizer_g.param_groups[0]["lr"])
        assert trainer.state.optimizer_d.param_groups[0]["lr"] == rates[-1]
        return True

    trainer.train_epoch(record)
    trainer.train_epoch(record)
    assert rates[:16] == [2e-4] * 16
    assert rates[16:] == pytest.approx([2e-4 * (1 - step / 30) / 0.5 for step in range(16, 30)])


def test_until_a_restart_the_run_equals_one_that_ends_there(
    small_recipe: Recipe, digits: Dataset
) -> None:
    recipe = dataclasses.replace(small_recipe, lr_decay=1.0, epochs=3, lr_restarts=(1,))
    trainer = Trainer(recipe, digits, CPU)
    short = Trainer(dataclasses.replace(recipe, epochs=1, lr_restarts=()), digits, CPU)
    assert trainer.train_epoch().loss_generator == short.train_epoch().loss_generator
    assert (short.progress, trainer.progress) == (1.0, 1 / 3)


def test_a_time_limit_shortens_the_schedule(small_recipe: Recipe, digits: Dataset) -> None:
    trainer = Trainer(dataclasses.replace(small_recipe, lr_decay=1.0), digits, CPU)
    trainer.state.seconds, trainer.seconds_limit = 30.0, 40.0
    trainer.train_epoch(steps(0))
    rate = trainer.state.optimizer_g.param_groups[0]["lr"]
    assert rate == pytest.approx(0.25 * 2e-4, rel=0.01)
