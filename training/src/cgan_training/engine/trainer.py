"""The training loop: read it from top to bottom."""

import copy
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cgan_training.data import Dataset
from cgan_training.engine.augmentation import SMALL_SET, moved
from cgan_training.engine.batch_norm import calibrate_batch_norm, warmed_up
from cgan_training.engine.optimizer import adam, load, set_rate, state_of
from cgan_training.engine.rare_pixels import suppress_rare_pixels
from cgan_training.engine.state_validation import (
    require_optimizer,
    require_order,
    require_same_structure,
)
from cgan_training.errors import DivergedError, RecipeError
from cgan_training.hardware.cuda_graph import CudaGraphStep, can_capture, turned
from cgan_training.hardware.precision import matmul_precision, resolve_precision
from cgan_training.hardware.processes import SINGLE_PROCESS, ProcessGroup
from cgan_training.losses import r1_penalty
from cgan_training.networks import Generator, to_float, to_uint8
from cgan_training.recipe.schema import Recipe

SHEET_ROWS = 10
OPTIMIZERS = {"optimizer_g": "generator", "optimizer_d": "discriminator"}
NETWORKS = ("generator", "discriminator")
PARTS = (*NETWORKS, *OPTIMIZERS)
COUNTERS = ("epoch", "step", "seconds", "order", "done", "sums", "epoch_seconds", "sheet_noise")


@dataclass(frozen=True)
class Epoch:
    """What one pass over the data gave."""

    epoch: int  # counted from 1
    step: int  # steps done since the start of the run
    loss_generator: float  # mean over the epoch; the logistic loss is in nats
    loss_discriminator: float  # mean of its real and its fake part, without a penalty, likewise
    mean_d_real: float  # mean probability of "real" given to real images
    mean_d_fake: float  # the same given to drawn ones
    images_per_second: float  # real images consumed
    seconds: float  # spent training since the start of the run


class Trainer:
    """The two networks, their optimisers and the data, all on one device.

    Args:
        recipe: how to train.
        dataset: what to learn; it is copied to the device whole.
        device: torch's name of it.
        world: the processes that share each batch; each builds a Trainer like this one.

    Raises:
        RecipeError: the processes cannot share a batch evenly.
        DeviceError: the recipe's precision is none of the device's.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        device: torch.device,
        world: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.dataset, self.device, self.world = recipe, dataset, device, world
        self.batch_size = min(recipe.batch_size, len(dataset.labels))  # of all processes together
        if self.batch_size % world.size:
            raise RecipeError(
                f"recipe {recipe.name!r}: {world.size} processes cannot share its batches of "
                f"{self.batch_size} evenly; start as many as divide batch_size, or change it"
            )
        self.augment = recipe.augment if len(dataset.labels) < SMALL_SET else 0.0
        self.precision = resolve_precision(recipe, device).precision
        shape = dataset.classes, dataset.height, dataset.width
        self.generator = Generator(recipe.generator, recipe.noise_dim, *shape).to(device)
        self.discriminator = recipe.discriminator.network(
            *shape,
            reads=recipe.loss.classify > 0,
            noise_dim=recipe.noise_dim if recipe.loss.read_noise else 0,
        ).to(device)
        self.average: AveragedModel | None = None
        if recipe.average:
            self.average = AveragedModel(self.generator)
        # Called through these, a network's gradients are the mean over all processes.
        self.synced_generator = world.synced(self.generator)
        self.synced_discriminator = world.synced(self.discriminator)
        self.parts = [*PARTS, "average"] if self.average else PARTS
        self.random = torch.Generator(device).manual_seed(recipe.seed)
        self.recorder: CudaGraphStep | None = None  # takes the steps
        self.told: float | Tensor = 0.0  # how much of the run is done, as a step reads it
        if can_capture(device, world.size):
            self.recorder = CudaGraphStep(self._step, self.random)
            self.told = torch.zeros((), device=device)
        self.optimizer_g = self._adam(self.generator)
        self.optimizer_d = self._adam(self.discriminator)
        self.images = dataset.images.to(device)  # uint8 [n, 1, h, w]
        self.labels = dataset.labels.to(device)  # int64 [n]
        self.sheet_noise = self._noise(SHEET_ROWS)  # the same for every sheet of the run
        self.passes = math.ceil(recipe.epoch_images / len(dataset.labels))  # an epoch
        self.steps_per_epoch = self.passes * len(dataset.labels) // self.batch_size
        self.epoch, self.step, self.seconds = 0, 0, 0.0  # whole epochs, steps, seconds so far
        self.order: Tensor | None = None  # of this epoch's images: int64 [n * passes]
        self.done = 0  # steps of this epoch
        self.seconds_limit = math.inf  # of training in all: the learning rate's decay ends with it
        self.sums = self._zeros()  # over this epoch and this process's share, read once an epoch
        self.epoch_seconds = 0.0  # spent on this epoch

    def train_epoch(self, on_step: Callable[[int, Tensor], bool] | None = None) -> Epoch:
        """Go over the shuffled data once, or as often as the recipe's epoch_images ask for.

        An epoch that was begun before, here or in the state that was loaded, is gone on with.

        Args:
            on_step: told after each step how many of the epoch are done and the sums so far
                ([4]: the losses of generator and discriminator, mean D on real and on
                fake); it leaves the epoch by returning False.

        Returns:
            What the epoch gave so far: all of it where epoch_is_whole.

        Raises:
            DivergedError: the losses are no longer numbers.
        """
        if self.order is None:
            self.order = torch.cat([self._shuffled() for _ in range(self.passes)])
        batches = self.order.split(self.batch_size)[self.done : self.steps_per_epoch]
        with matmul_precision(self.precision, self.device):
            self._take(batches, on_step or (lambda _done, _sums: True))
        epoch = self._summary(self.world.mean(self.sums))
        if self.done == self.steps_per_epoch:
            self.epoch += 1
            self.order, self.done = None, 0
            self.sums, self.epoch_seconds = self._zeros(), 0.0
        return epoch

    def _take(self, batches: Sequence[Tensor], on_step: Callable[[int, Tensor], bool]) -> None:
        """Take a step on each batch's images, while on_step goes along, and count the time."""
        before = time.perf_counter()
        for batch in batches:
            self.sums += self._advance(self.world.share(batch))
            self.step += 1
            self.done += 1
            before = self._spent_since(before)
            if not on_step(self.done, self.sums):
                break
        if self.device.type == "cuda":  # steps were asked of it that it may have yet to do
            before = time.perf_counter()
            torch.cuda.synchronize(self.device)
            self._spent_since(before)

    def _spent_since(self, before: float) -> float:
        """Count the seconds since a moment as training, and return this moment."""
        now = time.perf_counter()
        self.epoch_seconds += now - before
        self.seconds += now - before
        return now

    def _summary(self, sums: Tensor) -> Epoch:
        loss_g, loss_d, d_real, d_fake = (sums / self.done).tolist()
        if not math.isfinite(loss_g + loss_d):
            raise DivergedError(
                f"the losses of epoch {self.epoch + 1} are not numbers; "
                "lower the recipe's learning_rate"
            )
        return Epoch(
            epoch=self.epoch + 1,
            step=self.step,
            loss_generator=loss_g,
            loss_discriminator=loss_d,
            mean_d_real=d_real,
            mean_d_fake=d_fake,
            images_per_second=self.done * self.batch_size / self.epoch_seconds,
            seconds=self.seconds,
        )

    @property
    def epoch_is_whole(self) -> bool:
        """Whether no epoch is begun and not ended."""
        return self.order is None

    def _advance(self, own: Tensor) -> Tensor:
        """Take one step, and what goes with it; see _step()."""
        loss = self.recipe.loss
        self.told = self.discriminator.progress = turned(self.told, self.progress)
        if self.recipe.decay:
            self._decay_learning_rate()
        penalised = bool(loss.r1) and self.step % loss.r1_every == 0
        losses = (self.recorder or self._step)(own, penalised)
        if self.average is not None:
            self._follow(self.average)
        return losses

    def _step(self, own: Tensor, penalised: bool) -> Tensor:
        """Update the generator, then the discriminator (Mirza & Osindero 2014, equation 2).

        With several processes, batch is one's share of it. On CUDA this is recorded and replayed:
        nothing here may wait for the device, or read a number of Python's that changes.

        Args:
            own: numbers of the real images, int64 [batch].
            penalised: whether the discriminator's gradients are.

        Returns:
            float32 [4], on the device: both losses, mean D on real and on fake.
        """
        batch, loss, progress = len(own), self.recipe.loss, self.told
        real, real_label = to_float(self.images[own]), self.labels[own]

        # The generator: make the discriminator call drawn images real. The discriminator's
        # weights stand still, so their gradients are neither computed nor sent anywhere.
        self.discriminator.requires_grad_(False)
        noise, fake_label = self._drawn()
        with self._autocast():
            fake = self._seen(self.synced_generator(noise, fake_label))  # [batch, 1, h, w]
            on_fake = self.discriminator(fake, fake_label)
        loss_g = game_g = loss.of_generator(on_fake.logit.float())
        if on_fake.reading is not None:
            loss_g = loss_g + loss.of_reading(on_fake.reading.float(), fake_label, progress)
        if on_fake.noise is not None:
            loss_g = loss_g + loss.of_noise(on_fake.noise.float(), noise, progress)
        self.optimizer_g.zero_grad()
        loss_g.backward()
        self.optimizer_g.step()

        # The discriminator: tell real images from freshly drawn ones, both in one pass.
        self.discriminator.requires_grad_(True)
        noise, fake_label = self._drawn()
        with torch.no_grad(), self._autocast():
            fake = self.generator(noise, fake_label).float()
        real, fake = self._seen(real), self._seen(fake)
        both, both_label = torch.cat([real, fake]), torch.cat([real_label, fake_label])
        with self._autocast():
            on_both = self.synced_discriminator(both, both_label, sets=2)
        logits = on_both.logit.float()  # [2 * batch]
        loss_d = game_d = loss.of_discriminator(*logits.split(batch))
        if on_both.reading is not None:
            on_real = on_both.reading[:batch].float()
            loss_d = loss_d + loss.of_reading(on_real, real_label, progress) / 2
        if on_both.noise is not None:
            loss_d = loss_d + loss.of_noise(on_both.noise[batch:].float(), noise, progress) / 2
        if penalised:
            with self._autocast():
                penalty = r1_penalty(self.discriminator, real, real_label)
            loss_d = loss_d + loss.r1 * loss.r1_every * penalty
        self.optimizer_d.zero_grad()
        loss_d.backward()
        self.optimizer_d.step()

        with torch.no_grad():
            probabilities = logits.sigmoid().view(2, batch).mean(1)  # [2]: on real, on fake
            return torch.cat([torch.stack([game_g, game_d]), probabilities])

    def draw(self, noise: Tensor, label: Tensor) -> Tensor:
        """Draw uint8 [n, 1, height, width] from noise float32 [n, noise_dim], label int64 [n]."""
        with torch.inference_mode():
            return to_uint8(self.finished_generator()(noise, label))

    def finished_generator(self) -> Generator:
        """Return a copy of the generator as it would be if training ended here, in eval mode.

        It is the moving average where the recipe takes one, with batch norm's statistics measured,
        and draws from noise as wide as the recipe's noise_scale says, with ink as rare as its
        rare_ink says.
        """
        learnt = self.generator if self.average is None else self.average.module
        generator = cast(Generator, copy.deepcopy(learnt)).requires_grad_(False)
        calibrate_batch_norm(generator, self.recipe.seed)
        generator.widen(self.recipe.noise_scale)
        if self.recipe.rare_ink:
            suppress_rare_pixels(generator, self.images, self.recipe.rare_ink, self.recipe.seed)
        return generator

    def draw_sheet(self) -> Tensor:
        """Draw uint8 [rows * classes, 1, height, width]: a noise each row, a label each column."""
        classes = self.dataset.classes
        label = torch.arange(classes, device=self.device).repeat(SHEET_ROWS)
        return self.draw(self.sheet_noise.repeat_interleave(classes, dim=0), label)

    def state(self) -> dict[str, Any]:
        """Return all that the next step needs, as tensors and plain values.

        It fits any number of processes. All of them call it, to add up the sums.

        Raises:
            DivergedError: the losses are no longer numbers, so it is not worth keeping.
        """
        sums = self.world.mean(self.sums)
        if self.done:
            self._summary(sums)
        return {
            **{name: getattr(self, name) for name in COUNTERS},
            "sums": sums,
            **{name: self._state_of(name) for name in self.parts},
            "random": self.random.get_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where state() was taken.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError, AttributeError: its parts do not fit the
                recipe or the data.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of what no checkpoint has
            self._require_fit(state)
        for name in self.parts:
            if name in OPTIMIZERS:
                load(getattr(self, name), state[name])
            else:
                getattr(self, name).load_state_dict(state[name])
        self.random.set_state(state["random"])
        if self.recorder is not None:  # what it recorded is of tensors that were replaced
            self.recorder = CudaGraphStep(self._step, self.random)
        for name in COUNTERS:
            value = state[name]
            setattr(self, name, value.to(self.device) if isinstance(value, Tensor) else value)

    def start_from(self, state: dict[str, Any]) -> None:
        """Take over the networks of another trainer's state(). All else begins anew.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError, AttributeError: they are not of the
                recipe's kind and size, or not for images and labels like the data's.
        """
        for name in NETWORKS:
            require_same_structure(state[name], getattr(self, name).state_dict(), name)
        for name in NETWORKS:
            getattr(self, name).load_state_dict(state[name])

    def _state_of(self, name: str) -> dict[str, Any]:
        part = getattr(self, name)
        return state_of(part) if name in OPTIMIZERS else part.state_dict()

    def _require_fit(self, state: dict[str, Any]) -> None:
        """Check a state, down to the last number, before any of it is taken over."""
        for name in self.parts:
            fresh = self._state_of(name)
            if name in OPTIMIZERS:
                shapes = [each.shape for each in getattr(self, OPTIMIZERS[name]).parameters()]
                require_optimizer(state[name], fresh, shapes, name)
            else:
                require_same_structure(state[name], fresh, name)
        for name in COUNTERS:
            if name != "order":
                require_same_structure(state[name], getattr(self, name), name)
        torch.Generator(self.device).set_state(state["random"])
        images = len(self.labels)
        length = images * self.passes
        require_order(state["order"], state["done"], images, length, self.steps_per_epoch)

    def _seen(self, images: Tensor) -> Tensor:
        """Return images as the discriminator sees them."""
        if not self.augment:
            return images
        return moved(images, self.augment, self.random)

    @property
    def progress(self) -> float:
        """How much of the run is done, 0 .. 1, by its steps or by its limit of time.

        It falls back at each of the recipe's restarts: until there the run is of so many epochs.
        """
        ends = [each for each in self.recipe.restarts if self.epoch < each]
        steps = min([*ends, self.recipe.epochs]) * self.steps_per_epoch
        return min(1.0, max(self.step / steps, self.seconds / self.seconds_limit))

    def _decay_learning_rate(self) -> None:
        rate = self.recipe.learning_rate * min(1.0, (1 - self.progress) / self.recipe.decay)
        for optimizer in (self.optimizer_g, self.optimizer_d):
            set_rate(optimizer, rate)

    def _follow(self, average: AveragedModel) -> None:
        """Move the average towards the generator. Its own update would wait for the device."""
        decay = warmed_up(self.recipe.average, self.step + 1) if self.step else 0.0
        averaged, current = list(average.parameters()), list(self.generator.parameters())
        get_ema_multi_avg_fn(decay)(averaged, current, average.n_averaged)
        average.n_averaged += 1

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _adam(self, network: nn.Module) -> Adam:
        return adam(network, self.recipe, recorded=self.recorder is not None)

    def _drawn(self) -> tuple[Tensor, Tensor]:
        """Draw a batch's noise and labels, as every process does, and return the own share."""
        label, noise = self._random_labels(self.batch_size), self._noise(self.batch_size)
        return self.world.share(noise), self.world.share(label)

    def _noise(self, count: int) -> Tensor:
        shape = (count, self.recipe.noise_dim)
        return torch.randn(shape, generator=self.random, device=self.device)

    def _zeros(self) -> Tensor:
        # Apple's GPUs have no float64; an epoch's few hundred terms do without.
        precise = torch.float32 if self.device.type == "mps" else torch.float64
        return torch.zeros(4, dtype=precise, device=self.device)

    def _shuffled(self) -> Tensor:
        return torch.randperm(len(self.labels), generator=self.random, device=self.device)

    def _random_labels(self, count: int) -> Tensor:
        return torch.randint(
            self.dataset.classes, (count,), generator=self.random, device=self.device
        )
