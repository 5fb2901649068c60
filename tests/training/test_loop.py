import copy
import dataclasses
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from cgan_training.data import Dataset
from cgan_training.distributed import World
from cgan_training.errors import DeviceError, DivergedError
from cgan_training.loop import Trainer, choose_device
from cgan_training.networks import Discriminator, Generator, to_float
from cgan_training.recipe import Recipe

CPU = torch.device("cpu")


@pytest.fixture
def trainer(small_recipe: Recipe, digits: Dataset) -> Trainer:
    return Trainer(small_recipe, digits, CPU)


def textbook_epoch(
    recipe: Recipe, data: Dataset, generator: Generator, discriminator: Discriminator
) -> list[Tensor]:
    """Train one epoch the way a textbook writes it, and return all weights."""
    random = torch.Generator().manual_seed(recipe.seed)
    torch.randn(10, recipe.noise_dim, generator=random)  # the sheet's noise comes first
    optimizer_g = torch.optim.Adam(generator.parameters(), recipe.learning_rate, recipe.betas)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), recipe.learning_rate, recipe.betas)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        label = torch.randint(data.classes, (count,), generator=random)
        noise = torch.randn(count, recipe.noise_dim, generator=random)
        return generator(noise, label), label

    for batch in torch.randperm(len(data.labels), generator=random).split(recipe.batch_size):
        real, label, ones = to_float(data.images[batch]), data.labels[batch], torch.ones(len(batch))
        optimizer_g.zero_grad()
        probability = torch.sigmoid(discriminator(*draw(len(batch))))
        binary_cross_entropy(probability, ones).backward()
        optimizer_g.step()

        optimizer_d.zero_grad()
        fake, fake_label = draw(len(batch))
        on_real = torch.sigmoid(discriminator(real, label))
        on_fake = torch.sigmoid(discriminator(fake.detach(), fake_label))
        loss = binary_cross_entropy(on_real, ones) + binary_cross_entropy(on_fake, 0 * ones)
        (loss / 2).backward()
        optimizer_d.step()
    return [*generator.parameters(), *discriminator.parameters()]


def test_an_epoch_gives_the_weights_of_the_textbook_loop(
    trainer: Trainer, small_recipe: Recipe, digits: Dataset
) -> None:
    generator = copy.deepcopy(trainer.generator)
    discriminator = copy.deepcopy(trainer.discriminator)
    trainer.train_epoch()
    wanted = textbook_epoch(small_recipe, digits, generator, discriminator)
    ours = [*trainer.generator.parameters(), *trainer.discriminator.parameters()]
    for mine, theirs in zip(ours, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-5)


def test_the_same_seed_trains_the_same_weights(
    trainer: Trainer, small_recipe: Recipe, digits: Dataset
) -> None:
    again = Trainer(small_recipe, digits, CPU)
    other = Trainer(dataclasses.replace(small_recipe, seed=1), digits, CPU)
    for each in (trainer, again, other):
        each.train_epoch()
    first, second, third = (
        torch.cat([weight.flatten() for weight in each.generator.parameters()])
        for each in (trainer, again, other)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_an_epoch_reports_what_it_did(trainer: Trainer) -> None:
    epochs = [trainer.train_epoch(), trainer.train_epoch()]
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert [epoch.step for epoch in epochs] == [15, 30]  # 1,500 images, 100 a batch
    for epoch in epochs:
        assert 0 < epoch.mean_d_real < 1
        assert 0 < epoch.mean_d_fake < 1
        # An untrained discriminator's loss is ln 2; the mean of its two parts is near that.
        assert 0 < epoch.loss_discriminator < 2 * math.log(2)
        assert epoch.images_per_second > 0
    assert epochs[0].seconds < epochs[1].seconds


def test_an_epoch_can_be_ended_early(trainer: Trainer) -> None:
    epoch = trainer.train_epoch(lambda done, _sums: done < 4)
    assert epoch.step == 4


def test_a_small_data_set_makes_one_batch(small_recipe: Recipe, digits: Dataset) -> None:
    few = dataclasses.replace(digits, images=digits.images[:30], labels=digits.labels[:30])
    assert Trainer(small_recipe, few, CPU).train_epoch().step == 1


def test_an_epoch_shows_enough_images(small_recipe: Recipe, digits: Dataset) -> None:
    recipe = dataclasses.replace(small_recipe, epoch_images=4000)
    trainer = Trainer(recipe, digits, CPU)
    assert trainer.passes == 3  # 4,500 images
    assert trainer.train_epoch().step == trainer.steps_per_epoch == 45


def test_losses_that_are_no_numbers_end_the_run(trainer: Trainer) -> None:
    with torch.no_grad():
        next(trainer.generator.parameters()).fill_(math.nan)
    with pytest.raises(DivergedError, match="epoch 1 are not numbers; lower"):
        trainer.train_epoch()


def test_the_sheet_has_a_noise_a_row_and_a_label_a_column(trainer: Trainer) -> None:
    before = trainer.draw_sheet()
    assert before.shape == (100, 1, 28, 28)
    assert before.dtype == torch.uint8
    noise, label = trainer.sheet_noise[3:4], torch.tensor([7])
    alone = trainer.draw(noise, label)
    assert (alone.int() - before[37].int()).abs().max() <= 1
    assert torch.equal(before, trainer.draw_sheet())  # drawing disturbs nothing


def test_device_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    for name in ("cuda", "mps"):
        with pytest.raises(DeviceError, match=f"torch finds no {name} device here; use --device"):
            choose_device(name)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("mps")
    assert choose_device("auto", World(0, 2)) == CPU
    with pytest.raises(DeviceError, match="cannot share one mps device"):
        choose_device("mps", World(0, 2))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")


def test_the_average_trails_the_generator(small_recipe: Recipe, digits: Dataset) -> None:
    recipe = dataclasses.replace(small_recipe, average=0.9)
    trainer = Trainer(recipe, digits, CPU)
    shadow: list[Tensor] = []

    def follow(_done: int, _sums: Tensor) -> bool:
        weights = [weight.detach() for weight in trainer.generator.parameters()]
        if not shadow:
            shadow.extend(weight.clone() for weight in weights)
        else:
            for kept, weight in zip(shadow, weights, strict=True):
                decay = min(0.9, trainer.step / (trainer.step + 9))  # warms up
                kept.lerp_(weight, 1 - decay)
        return True

    trainer.train_epoch(follow)
    averaged = list(trainer.finished_generator().parameters())
    for mine, theirs in zip(averaged, shadow, strict=True):
        torch.testing.assert_close(mine.detach(), theirs)
    assert not torch.equal(averaged[0], next(trainer.generator.parameters()))
    plain = Trainer(small_recipe, digits, CPU)
    plain.train_epoch()
    for mine, theirs in zip(
        trainer.generator.parameters(), plain.generator.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)  # averaging changes nothing that is learnt


def test_bf16_learns_much_like_fp32(small_recipe: Recipe, digits: Dataset) -> None:
    recipe = dataclasses.replace(small_recipe, epoch_images=3000)
    exact, rough = (
        Trainer(dataclasses.replace(recipe, precision=precision), digits, CPU)
        for precision in ("fp32", "bf16")
    )
    one, other = exact.train_epoch(), rough.train_epoch()
    assert one.loss_generator != other.loss_generator
    assert one.loss_generator == pytest.approx(other.loss_generator, rel=0.1)
    assert one.loss_discriminator == pytest.approx(other.loss_discriminator, rel=0.1)
    assert all(weight.dtype == torch.float32 for weight in rough.generator.parameters())


def test_a_state_brings_all_back(small_recipe: Recipe, digits: Dataset) -> None:
    recipe = dataclasses.replace(small_recipe, average=0.9)
    first, second = Trainer(recipe, digits, CPU), Trainer(recipe, digits, CPU)
    first.train_epoch(lambda done, _sums: done < 7)
    second.load_state(copy.deepcopy(first.state()))
    one, other = first.train_epoch(), second.train_epoch()
    assert one.loss_generator == other.loss_generator
    assert first.epoch_is_whole
    noise, label = torch.randn(10, 10), torch.arange(10)
    assert torch.equal(first.draw(noise, label), second.draw(noise, label))
