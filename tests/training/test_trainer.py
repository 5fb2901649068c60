import copy
import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from cgan_training.data import Dataset
from cgan_training.engine import trainer as trainer_module
from cgan_training.engine.trainer import Trainer
from cgan_training.errors import DeviceError, DivergedError
from cgan_training.hardware import precision
from cgan_training.hardware.cuda_graph import CudaGraphStep
from cgan_training.hardware.devices import choose_device
from cgan_training.hardware.processes import ProcessGroup
from cgan_training.losses import LogisticLoss
from cgan_training.networks import (
    ConvolutionalDiscriminator,
    ConvolutionalGenerator,
    Discriminator,
    Generator,
    to_float,
)
from cgan_training.recipe.schema import Recipe

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
        probability = torch.sigmoid(discriminator(*draw(len(batch))).logit)
        binary_cross_entropy(probability, ones).backward()
        optimizer_g.step()

        optimizer_d.zero_grad()
        fake, fake_label = draw(len(batch))
        on_real = torch.sigmoid(discriminator(real, label).logit)
        on_fake = torch.sigmoid(discriminator(fake.detach(), fake_label).logit)
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
    assert choose_device("auto", ProcessGroup(0, 2)) == CPU
    with pytest.raises(DeviceError, match="cannot share one mps device"):
        choose_device("mps", ProcessGroup(0, 2))
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


def test_the_finished_generator_draws_from_noise_of_the_scale_asked_for(
    small_recipe: Recipe, digits: Dataset
) -> None:
    plain = Trainer(small_recipe, digits, CPU)
    wide = Trainer(dataclasses.replace(small_recipe, noise_scale=1.5), digits, CPU)
    for trainer in (plain, wide):
        trainer.train_epoch()
    for mine, theirs in zip(wide.generator.parameters(), plain.generator.parameters(), strict=True):
        assert torch.equal(mine, theirs)  # it learns from the same noise
    noise, label = torch.randn(10, small_recipe.noise_dim), torch.arange(10)
    drawn = wide.finished_generator()(noise, label)
    torch.testing.assert_close(drawn, plain.finished_generator()(noise * 1.5, label))
    assert not torch.allclose(drawn, plain.finished_generator()(noise, label), atol=1e-3)


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


@pytest.fixture
def convolutional_recipe(small_recipe: Recipe) -> Recipe:
    """Everything that the classic recipe does without."""
    return dataclasses.replace(
        small_recipe,
        generator=ConvolutionalGenerator(hidden=16, channels=4, convolutions=1),
        discriminator=ConvolutionalDiscriminator(
            (8, 8, 12), hidden=16, minibatch_deviation=True, deviation_fades=True
        ),
        loss=LogisticLoss(r1=0.5, r1_every=3, classify=0.5, read_noise=0.5),
        learning_rate=1e-3,
        betas=(0.0, 0.99),
        decay=0.5,
        average=0.99,
    )


def test_the_convolutional_recipe_learns_and_resumes(
    convolutional_recipe: Recipe, digits: Dataset
) -> None:
    first, second = (Trainer(convolutional_recipe, digits, CPU) for _ in range(2))
    first.train_epoch(lambda done, _sums: done < 7)
    second.load_state(copy.deepcopy(first.state()))
    one, other = first.train_epoch(), second.train_epoch()
    assert one.loss_generator == other.loss_generator
    assert math.isfinite(one.loss_discriminator)
    assert torch.equal(first.draw_sheet(), second.draw_sheet())


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Callable[[Recipe, Dataset], Trainer]:
    """Make trainers whose steps read tensors, as those do that are recorded on a GPU."""

    def made(recipe: Recipe, data: Dataset) -> Trainer:
        with monkeypatch.context() as patch:
            patch.setattr(trainer_module, "can_capture", lambda _device, _processes: True)
            patch.setattr(trainer_module, "CudaGraphStep", lambda step, _random: step)
            return Trainer(recipe, data, CPU)

    return made


def test_what_a_recorded_step_reads_from_tensors_changes_nothing(
    convolutional_recipe: Recipe,
    digits: Dataset,
    recorded: Callable[[Recipe, Dataset], Trainer],
) -> None:
    first, second = (
        recorded(convolutional_recipe, digits),
        Trainer(convolutional_recipe, digits, CPU),
    )
    rate, told = first.optimizer_g.param_groups[0]["lr"], first.told
    for trainer in (first, second):
        trainer.train_epoch()
        trainer.train_epoch(lambda done, _sums: done < 7)
    assert first.optimizer_g.param_groups[0]["lr"] is rate
    assert first.told is told is first.discriminator.progress
    assert float(told) == pytest.approx(float(second.told))
    assert float(rate) == pytest.approx(second.optimizer_g.param_groups[0]["lr"])
    for mine, theirs in zip(
        first.discriminator.parameters(), second.discriminator.parameters(), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def test_a_state_goes_from_a_gpu_to_a_cpu_and_back(
    convolutional_recipe: Recipe,
    digits: Dataset,
    recorded: Callable[[Recipe, Dataset], Trainer],
) -> None:
    plain = Trainer(convolutional_recipe, digits, CPU)
    plain.train_epoch(lambda done, _sums: done < 7)
    there = recorded(convolutional_recipe, digits)
    before, rate = there.recorder, there.optimizer_d.param_groups[0]["lr"]
    there.recorder = CudaGraphStep.__new__(CudaGraphStep)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_module, "CudaGraphStep", lambda _step, _random: before)
        there.load_state(copy.deepcopy(plain.state()))
    assert there.recorder is before  # begun anew: a graph would write to what was replaced
    group = there.optimizer_d.param_groups[0]
    assert group["lr"] is rate
    assert group["capturable"]
    assert float(rate) == pytest.approx(plain.optimizer_d.param_groups[0]["lr"])
    back = Trainer(convolutional_recipe, digits, CPU)
    state = copy.deepcopy(there.state())
    assert [state[name]["param_groups"] for name in ("optimizer_g", "optimizer_d")] == [
        [{**group, "lr": pytest.approx(group["lr"])}]
        for group in (
            plain.state()[name]["param_groups"][0] for name in ("optimizer_g", "optimizer_d")
        )
    ]
    back.load_state(state)
    assert not back.optimizer_d.param_groups[0]["capturable"]
    assert type(back.optimizer_d.param_groups[0]["lr"]) is float
    one, other = plain.train_epoch(), back.train_epoch()
    assert one.loss_generator == pytest.approx(other.loss_generator, rel=1e-3)


def test_the_discriminator_is_told_how_much_of_the_run_is_done(
    convolutional_recipe: Recipe, digits: Dataset
) -> None:
    trainer = Trainer(dataclasses.replace(convolutional_recipe, epochs=2), digits, CPU)
    trainer.train_epoch()
    trainer.train_epoch(lambda _done, _sums: False)
    assert trainer.discriminator.progress == 0.5


def test_the_penalty_changes_what_is_learnt_but_not_the_loss_reported(
    convolutional_recipe: Recipe, digits: Dataset
) -> None:
    plain = dataclasses.replace(convolutional_recipe, loss=LogisticLoss())
    heavy = dataclasses.replace(convolutional_recipe, loss=LogisticLoss(r1=1e3, r1_every=1))
    losses = []
    for recipe in (plain, heavy):
        trainer = Trainer(recipe, digits, CPU)
        losses.append(trainer.train_epoch(lambda done, _sums: done < 1).loss_discriminator)
        trainer.train_epoch(lambda done, _sums: done < 12)
        losses.append(next(trainer.discriminator.parameters()).abs().mean().item())
    assert losses[0] == losses[2]
    assert losses[1] > losses[3]  # flat: its weights shrink


def trained_and_drawing(recipe: Recipe, digits: Dataset) -> tuple[Trainer, Tensor, Tensor, Tensor]:
    """Return a third of nine epochs' trainer, and 500 images of it: noise, label, drawn."""
    trainer = Trainer(dataclasses.replace(recipe, epochs=9), digits, CPU)
    for _ in range(3):
        trainer.train_epoch()
    label = torch.arange(500) % 10
    noise = torch.randn(500, recipe.noise_dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return trainer, noise, label, trainer.generator(noise, label)


def test_both_networks_learn_to_be_read(convolutional_recipe: Recipe, digits: Dataset) -> None:
    shares = []
    for classify in (1e-6, 30.0):
        loss = dataclasses.replace(convolutional_recipe.loss, classify=classify)
        recipe = dataclasses.replace(convolutional_recipe, loss=loss)
        trainer, _, label, drawn = trained_and_drawing(recipe, digits)
        with torch.no_grad():
            for image, shown in ((to_float(digits.images), digits.labels), (drawn, label)):
                reading = trainer.discriminator(image, shown).reading
                assert reading is not None
                shares.append((reading.argmax(1) == shown).float().mean().item())
    assert max(shares[:2]) < 0.2  # chance is 0.1
    assert min(shares[2:]) > 0.3


def test_drawn_images_learn_to_show_their_noise(
    convolutional_recipe: Recipe, digits: Dataset
) -> None:
    unexplained = []
    for read_noise in (1e-6, 10.0):
        loss = dataclasses.replace(convolutional_recipe.loss, read_noise=read_noise)
        recipe = dataclasses.replace(convolutional_recipe, loss=loss)
        trainer, noise, label, drawn = trained_and_drawing(recipe, digits)
        with torch.no_grad():
            reading = trainer.discriminator(drawn, label).noise
        assert reading is not None
        unexplained.append((reading - noise).square().mean().item())
    assert unexplained[0] > 0.95  # of a variance of 1
    assert unexplained[1] < 0.85


def test_the_learning_rate_falls_to_nothing(small_recipe: Recipe, digits: Dataset) -> None:
    trainer = Trainer(dataclasses.replace(small_recipe, decay=0.5), digits, CPU)
    rates: list[float] = []

    def note(_done: int, _sums: Tensor) -> bool:
        rates.append(trainer.optimizer_g.param_groups[0]["lr"])
        assert trainer.optimizer_d.param_groups[0]["lr"] == rates[-1]
        return True

    trainer.train_epoch(note)
    trainer.train_epoch(note)
    assert rates[:16] == [2e-4] * 16
    falls = [2e-4 * (1 - step / 30) / 0.5 for step in range(16, 30)]
    assert rates[16:] == pytest.approx(falls)


def test_after_a_restart_the_run_is_as_one_of_more_epochs(
    small_recipe: Recipe, digits: Dataset
) -> None:
    """What a run of two epochs learnt is gone on with as if it had been of five, then of six."""
    recipe = dataclasses.replace(small_recipe, decay=1.0, epochs=6, restarts=(2, 5))
    trainer = Trainer(recipe, digits, CPU)
    short = Trainer(dataclasses.replace(recipe, epochs=2), digits, CPU)
    for _ in range(2):
        assert trainer.train_epoch().loss_generator == short.train_epoch().loss_generator
    assert short.progress == 1.0
    assert trainer.progress == 2 / 5
    again = Trainer(recipe, digits, CPU)
    again.load_state(copy.deepcopy(trainer.state()))
    for epoch in (3, 4, 5):
        one, other = trainer.train_epoch(), again.train_epoch()
        assert one.epoch == epoch
        assert one.loss_generator == other.loss_generator
    assert trainer.progress == 5 / 6
    trainer.train_epoch()
    assert trainer.progress == 1.0
    assert trainer.optimizer_g.param_groups[0]["lr"] < 2e-4 / 6 / 10


def test_a_limit_of_time_brings_the_decay_forward(small_recipe: Recipe, digits: Dataset) -> None:
    trainer = Trainer(dataclasses.replace(small_recipe, decay=1.0), digits, CPU)
    trainer.seconds, trainer.seconds_limit = 30.0, 40.0
    trainer.train_epoch(lambda _done, _sums: False)
    assert trainer.optimizer_g.param_groups[0]["lr"] == pytest.approx(0.25 * 2e-4, rel=0.01)


def test_auto_is_the_precision_that_the_device_has(
    small_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = dataclasses.replace(small_recipe, precision="auto")
    for capable, name in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(precision, "supports_bf16", lambda _device, answer=capable: answer)
        assert precision.resolve_precision(auto, CPU).precision == name
    assert precision.resolve_precision(small_recipe, CPU) == small_recipe


def test_tf32_is_of_gpus_from_ampere_on(
    small_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = dataclasses.replace(small_recipe, precision="auto")
    gpu = torch.device("cuda")
    for capability, name in (((9, 0), "tf32"), ((8, 0), "tf32"), ((7, 5), "fp32")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, its=capability: its)
        assert precision.resolve_precision(auto, gpu).precision == name
    tf32 = dataclasses.replace(small_recipe, precision="tf32")
    for device in (CPU, gpu):  # the latter as of 2018
        with pytest.raises(DeviceError, match=r"tf32 is how NVIDIA's GPUs multiply.*--precision"):
            precision.resolve_precision(tf32, device)


def test_a_gpu_multiplies_in_tf32_where_that_is_asked_for_alone() -> None:
    matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matrices.allow_tf32, convolutions.allow_tf32
    for name, allowed in (("tf32", True), ("fp32", False), ("bf16", False)):
        with precision.matmul_precision(name, torch.device("cuda")):
            assert (matrices.allow_tf32, convolutions.allow_tf32) == (allowed, allowed)
        with precision.matmul_precision(name, CPU):
            assert (matrices.allow_tf32, convolutions.allow_tf32) == before
    assert (matrices.allow_tf32, convolutions.allow_tf32) == before
