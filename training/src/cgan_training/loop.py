"""The training loop: read it from top to bottom."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from cgan_training.data import Dataset
from cgan_training.errors import DeviceError, DivergedError
from cgan_training.networks import Discriminator, Generator, to_float, to_uint8
from cgan_training.recipe import Recipe

SHEET_ROWS = 10
CHECKPOINT_FORMAT = "cgan-checkpoint"
CHECKPOINT_VERSION = 1


@dataclass(frozen=True)
class Epoch:
    """What one pass over the data gave."""

    epoch: int  # counted from 1
    step: int  # steps done since the start of the run
    loss_generator: float  # binary cross-entropy, nats, mean over the epoch
    loss_discriminator: float  # mean of its real and its fake part, likewise
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
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.dataset, self.device = recipe, dataset, device
        shape = {"height": dataset.height, "width": dataset.width}
        self.generator = Generator(
            recipe.noise_dim, dataset.classes, recipe.generator_hidden, **shape
        ).to(device)
        self.discriminator = Discriminator(
            dataset.classes, recipe.discriminator_hidden, recipe.leaky_slope, **shape
        ).to(device)
        self.optimizer_g = self._adam(self.generator)
        self.optimizer_d = self._adam(self.discriminator)
        self.random = torch.Generator(device).manual_seed(recipe.seed)
        self.images = dataset.images.to(device)  # uint8 [n, 1, h, w]
        self.labels = dataset.labels.to(device)  # int64 [n]
        self.sheet_noise = self._noise(SHEET_ROWS)  # the same for every sheet of the run
        self.batch_size = min(recipe.batch_size, len(dataset.labels))
        self.passes = math.ceil(recipe.epoch_images / len(dataset.labels))  # an epoch
        self.steps_per_epoch = self.passes * len(dataset.labels) // self.batch_size
        self.epoch, self.step, self.seconds = 0, 0, 0.0

    def train_epoch(self, on_step: Callable[[int, Tensor], bool] | None = None) -> Epoch:
        """Go over the shuffled data once, or as often as the recipe's epoch_images ask for.

        Args:
            on_step: told after each step how many of the epoch are done and the sums so far
                (float64 [4]: the losses of generator and discriminator, mean D on real and on
                fake); it ends the epoch early by returning False.

        Raises:
            DivergedError: the losses are no longer numbers.
        """
        began, before = time.perf_counter(), self.step
        order = torch.cat([self._shuffled() for _ in range(self.passes)])
        sums = torch.zeros(4, dtype=torch.float64, device=self.device)  # read once an epoch
        for done, batch in enumerate(order.split(self.batch_size)[: self.steps_per_epoch], 1):
            sums += self._step(to_float(self.images[batch]), self.labels[batch])
            self.step += 1
            if on_step is not None and not on_step(done, sums):
                break
        means = (sums / (self.step - before)).tolist()
        elapsed = time.perf_counter() - began
        self.epoch += 1
        self.seconds += elapsed
        if not all(math.isfinite(mean) for mean in means):
            raise DivergedError(
                f"the losses of epoch {self.epoch} are not numbers; "
                "lower the recipe's learning_rate"
            )
        images = (self.step - before) * self.batch_size
        loss_g, loss_d, d_real, d_fake = means
        return Epoch(
            epoch=self.epoch,
            step=self.step,
            loss_generator=loss_g,
            loss_discriminator=loss_d,
            mean_d_real=d_real,
            mean_d_fake=d_fake,
            images_per_second=images / elapsed,
            seconds=self.seconds,
        )

    def _step(self, real: Tensor, real_label: Tensor) -> Tensor:
        """Update the generator, then the discriminator (Mirza & Osindero 2014, equation 2).

        Args:
            real: float32 [batch, 1, height, width] in -1 .. 1.
            real_label: int64 [batch].

        Returns:
            float64 [4], on the device: both losses, mean D on real and on fake.
        """
        batch = len(real_label)
        ones = torch.ones(batch, device=self.device)
        zeros = torch.zeros(batch, device=self.device)

        # The generator: make the discriminator call drawn images real. Gradients are asked for
        # its own weights alone, so those of the discriminator's weights are never computed.
        fake_label = self._random_labels(batch)
        fake = self.generator(self._noise(batch), fake_label)  # [batch, 1, h, w]
        loss_g = binary_cross_entropy_with_logits(self.discriminator(fake, fake_label), ones)
        self.optimizer_g.zero_grad()
        loss_g.backward(inputs=list(self.generator.parameters()))
        self.optimizer_g.step()

        # The discriminator: tell real images from freshly drawn ones, both in one pass.
        fake_label = self._random_labels(batch)
        with torch.no_grad():
            fake = self.generator(self._noise(batch), fake_label)
        logits = self.discriminator(torch.cat([real, fake]), torch.cat([real_label, fake_label]))
        on_real, on_fake = logits.split(batch)
        loss_d = (
            binary_cross_entropy_with_logits(on_real, ones)
            + binary_cross_entropy_with_logits(on_fake, zeros)
        ) / 2
        self.optimizer_d.zero_grad()
        loss_d.backward()
        self.optimizer_d.step()

        with torch.no_grad():
            probabilities = logits.sigmoid().view(2, batch).mean(1)  # [2]: on real, on fake
            return torch.cat([torch.stack([loss_g, loss_d]), probabilities]).double()

    def draw(self, noise: Tensor, label: Tensor) -> Tensor:
        """Draw uint8 [n, 1, height, width] from noise float32 [n, noise_dim], label int64 [n]."""
        self.generator.eval()
        with torch.inference_mode():
            image = to_uint8(self.generator(noise, label))
        self.generator.train()
        return image

    def draw_sheet(self) -> Tensor:
        """Draw uint8 [rows * classes, 1, height, width]: a noise each row, a label each column."""
        classes = self.dataset.classes
        label = torch.arange(classes, device=self.device).repeat(SHEET_ROWS)
        return self.draw(self.sheet_noise.repeat_interleave(classes, dim=0), label)

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch needs, as tensors and plain values."""
        return {
            "format": CHECKPOINT_FORMAT,
            "version": CHECKPOINT_VERSION,
            "recipe": self.recipe.to_dict(),
            "dataset": self.dataset.name,
            "class_names": list(self.dataset.class_names),
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimizer_g": self.optimizer_g.state_dict(),
            "optimizer_d": self.optimizer_d.state_dict(),
            "random": self.random.get_state(),
            "sheet_noise": self.sheet_noise,
        }

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(
            network.parameters(), lr=self.recipe.learning_rate, betas=self.recipe.betas, fused=True
        )

    def _noise(self, count: int) -> Tensor:
        shape = (count, self.recipe.noise_dim)
        return torch.randn(shape, generator=self.random, device=self.device)

    def _shuffled(self) -> Tensor:
        return torch.randperm(len(self.labels), generator=self.random, device=self.device)

    def _random_labels(self, count: int) -> Tensor:
        return torch.randint(
            self.dataset.classes, (count,), generator=self.random, device=self.device
        )


def choose_device(name: str) -> torch.device:
    """Return the device of a name; "auto" takes cuda where there is one.

    Raises:
        DeviceError: cuda was asked for and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("torch finds no CUDA device here; use --device cpu")
    return torch.device(name)
