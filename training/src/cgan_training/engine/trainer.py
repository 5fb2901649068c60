"""The trainer: builds everything that a recipe asks for, and trains epoch by epoch."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from cgan_training.data import Dataset
from cgan_training.engine.augmentation import SMALL_DATASET, augment, has_background
from cgan_training.engine.batch_norm import has_batch_norm
from cgan_training.engine.ema import update_ema
from cgan_training.engine.finished_generator import finish_generator, sample_sheet_images
from cgan_training.engine.objective import DiscriminatorWithTerms, Objective
from cgan_training.engine.optimizer import create_adam, set_learning_rate
from cgan_training.engine.schedules import learning_rate, run_progress
from cgan_training.engine.state import EpochProgress, TrainingState
from cgan_training.engine.state_validation import EpochSize
from cgan_training.errors import DivergedError, RecipeError
from cgan_training.hardware.cuda_graph import CudaGraphStep, can_capture, set_value
from cgan_training.hardware.precision import matmul_precision, resolve_precision
from cgan_training.hardware.processes import SINGLE_PROCESS, Processes
from cgan_training.losses import GeneratorInputs, auxiliary_terms
from cgan_training.networks import Generator, build_discriminator, build_generator, to_float
from cgan_training.recipe import Recipe

MIN_SECONDS = 1e-6  # minimum duration of an epoch: its speed stays finite if the clock is coarse


@dataclass(frozen=True)
class EpochMetrics:
    """The metrics of one epoch."""

    epoch: int  # counted from 1
    step: int  # steps since the start of the run
    loss_generator: float  # mean over the epoch, without auxiliary terms
    loss_discriminator: float  # mean over the epoch, without auxiliary terms and penalty
    mean_d_real: float  # mean probability of "real" for real images
    mean_d_fake: float  # mean probability of "real" for generated images
    images_per_second: float  # real images trained on per second
    seconds: float  # training time since the start of the run


class Trainer:
    """Train a recipe on a dataset.

    Args:
        recipe: the settings of the training.
        dataset: the training images; all of them are copied to the device.
        device: the device to train on.
        processes: the processes that share each batch; each of them builds its own Trainer.

    Raises:
        RecipeError: the batches cannot be shared evenly, or are too small for batch norm.
        UserCodeError: a network or loss of the user cannot be imported, or does not work.
        DeviceError: the device does not support the recipe's precision.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        device: torch.device,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.dataset = recipe, dataset
        self.device, self.processes = device, processes
        self.batch_size = min(recipe.batch_size, len(dataset.labels))  # over all processes
        if self.batch_size % processes.size:
            raise RecipeError(
                f"recipe {recipe.name!r}: {processes.size} processes cannot share batches of "
                f"{self.batch_size} evenly; change batch_size or the number of processes"
            )
        self.precision = resolve_precision(recipe, device).precision
        small = len(dataset.labels) < SMALL_DATASET
        self.augment_probability = recipe.augment_probability if small else 0.0
        self.images = dataset.images.to(device)  # uint8 [n, channels, h, w]
        self.labels = dataset.labels.to(device)  # int64 [n]
        self.passes_per_epoch = math.ceil(recipe.min_images_per_epoch / len(dataset.labels))
        self.steps_per_epoch = self.passes_per_epoch * len(dataset.labels) // self.batch_size
        # The schedules end at this value of `seconds`. The caller sets it and ends the training.
        self.seconds_limit = math.inf

        classes, image_shape = dataset.classes, dataset.image_shape
        generator = build_generator(recipe.generator, recipe.noise_dim, classes, image_shape)
        generator.to(device)
        if self.batch_size == processes.size and has_batch_norm(generator):
            raise RecipeError(
                f"recipe {recipe.name!r} has batch norm, which needs batches of two or more images "
                f"per process, but there are {len(dataset.labels):,} images, a batch_size of "
                f"{recipe.batch_size:,} and {processes.size} processes; "
                "add images, raise batch_size, or use the recipe classic"
            )
        network = build_discriminator(recipe.discriminator, classes, image_shape)
        terms = auxiliary_terms(recipe.loss, network.feature_dim, classes, recipe.noise_dim)
        discriminator = DiscriminatorWithTerms(network, terms).to(device)
        capture = can_capture(device, processes.size)
        self.state = TrainingState(
            generator=generator,
            discriminator=discriminator,
            optimizer_g=create_adam(generator, recipe, capturable=capture),
            optimizer_d=create_adam(discriminator, recipe, capturable=capture),
            ema=AveragedModel(generator) if recipe.ema_decay else None,
            rng=torch.Generator(device).manual_seed(recipe.seed),
            current=EpochProgress(self._zero_sums()),
        )
        rng, bf16 = self.state.rng, self.precision == "bf16"
        augment_batch = partial(
            augment,
            probability=self.augment_probability,
            rng=rng,
            background=has_background(self.images),
        )
        autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=bf16)
        self.objective = Objective(recipe.loss, discriminator, augment_batch, autocast)
        # The gradients of these two networks are averaged over all processes.
        self.synced_generator = processes.with_synced_gradients(generator)
        self.synced_discriminator = processes.with_synced_gradients(discriminator)
        # The progress as an input of a step. A captured graph sees new values only in a tensor.
        self.progress_input: float | Tensor = torch.zeros((), device=device) if capture else 0.0
        self.graph_step = CudaGraphStep(self._step, rng) if capture else None
        self._finished: tuple[int, Generator] | None = None  # the step and its generator

    def train_epoch(
        self, on_step: Callable[[int, Tensor], bool] = lambda _steps, _sums: True
    ) -> EpochMetrics:
        """Train for one epoch, or continue one that was interrupted.

        Args:
            on_step: called after each step with the number of completed steps of the epoch and the
                sums over them, [4]: losses of generator and discriminator, mean D(real) and
                D(fake). Returning False interrupts the epoch.

        Returns:
            The metrics of the epoch so far. The epoch is complete if is_between_epochs is true.

        Raises:
            DivergedError: the losses are not finite.
        """
        state, current = self.state, self.state.current
        if current.order is None:
            current.order = self._image_order()
        batches = current.order.split(self.batch_size)[current.steps : self.steps_per_epoch]
        with matmul_precision(self.precision, self.device):
            start = time.perf_counter()
            for indices in batches:
                current.sums += self._scheduled_step(self.processes.shard(indices))
                state.step += 1
                current.steps += 1
                start = self._count_seconds(start)
                if not on_step(current.steps, current.sums):
                    break
        if self.device.type == "cuda":  # the GPU may still be busy with the last steps
            start = time.perf_counter()
            torch.cuda.synchronize(self.device)
            self._count_seconds(start)
        sums = self.processes.mean(current.sums)
        self._require_finite(sums)
        metrics = self._metrics(sums)
        if current.steps == self.steps_per_epoch:
            state.epoch += 1
            state.current = EpochProgress(self._zero_sums())
        return metrics

    def _scheduled_step(self, indices: Tensor) -> Tensor:
        """Apply the schedules, run one step, and update the EMA."""
        state, recipe, progress = self.state, self.recipe, self.progress
        self.progress_input = set_value(self.progress_input, progress)
        if recipe.lr_decay:
            rate = learning_rate(recipe.learning_rate, recipe.lr_decay, progress)
            for optimizer in (state.optimizer_g, state.optimizer_d):
                set_learning_rate(optimizer, rate)
        apply_r1 = bool(recipe.loss.r1_weight) and state.step % recipe.loss.r1_interval == 0
        result = (self.graph_step or self._step)(indices, apply_r1)
        if state.ema is not None:
            update_ema(state.ema, state.generator, recipe.ema_decay, state.step + 1)
        return result

    def _step(self, indices: Tensor, apply_r1: bool) -> Tensor:
        """Update the generator, then the discriminator.

        On CUDA this function is captured as a graph: it must not synchronize with the device, nor
        read Python numbers that change between steps.

        Args:
            indices: indices of this process's real images, int64 [batch].
            apply_r1: whether the discriminator's loss includes the gradient penalty.

        Returns:
            float32 [4] on the device: both adversarial losses, mean D(real) and mean D(fake).
        """
        state, progress = self.state, self.progress_input
        real = to_float(self.images[indices]), self.labels[indices]

        state.discriminator.requires_grad_(False)  # saves the computation of its gradients
        inputs = self._random_inputs()
        loss_g = self.objective.generator_loss(self.synced_generator, inputs, progress)
        state.optimizer_g.zero_grad()
        loss_g.total.backward()
        state.optimizer_g.step()

        state.discriminator.requires_grad_(True)
        inputs = self._random_inputs()
        loss_d = self.objective.discriminator_loss(
            self.synced_discriminator, state.generator, real, inputs, progress, apply_r1=apply_r1
        )
        state.optimizer_d.zero_grad()
        loss_d.total.backward()
        state.optimizer_d.step()

        with torch.no_grad():
            probabilities = loss_d.logits.sigmoid().view(2, -1).mean(1)  # [real, fake]
            losses = torch.stack([loss_g.adversarial, loss_d.adversarial])
            return torch.cat([losses, probabilities])

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        return self.state.epoch

    @property
    def step(self) -> int:
        """Number of completed steps."""
        return self.state.step

    @property
    def seconds(self) -> float:
        """Training time in seconds."""
        return self.state.seconds

    @property
    def progress(self) -> float:
        """Progress of the schedules, 0..1; see run_progress()."""
        return run_progress(
            self.epoch,
            self.step,
            steps_per_epoch=self.steps_per_epoch,
            epochs=self.recipe.epochs,
            restarts=self.recipe.lr_restarts,
            time_share=self.seconds / self.seconds_limit,
        )

    @property
    def is_between_epochs(self) -> bool:
        """Whether no epoch is in progress."""
        return self.state.current.order is None

    def finished_generator(self) -> Generator:
        """Return the generator as model.pt would hold it if training ended now, in eval mode.

        See finish_generator(). The result is cached until the next step, so do not change it.
        """
        if self._finished is None or self._finished[0] != self.step:
            self._finished = self.step, finish_generator(self.state, self.recipe, self.images)
        return self._finished[1]

    def sample_images(self) -> Tensor:
        """Generate the images of a sample sheet, uint8 [10 * classes, channels, height, width].

        See sample_sheet_images().
        """
        with torch.inference_mode():
            return sample_sheet_images(self.finished_generator(), self.recipe.seed)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on, as tensors and plain values.

        Any number of processes can load the result. All processes must call this together.

        Raises:
            DivergedError: the losses are not finite, so the state is not worth saving.
        """
        sums = self.processes.mean(self.state.current.sums)
        self._require_finite(sums)
        return self.state.to_dict(sums)

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError, AttributeError: the state does not fit
                the recipe or the dataset.
        """
        images = len(self.labels)
        size = EpochSize(images, images * self.passes_per_epoch, self.steps_per_epoch)
        self.state.load(values, size)
        self._finished = None
        if self.graph_step is not None:  # captured graphs refer to the replaced tensors
            self.graph_step = CudaGraphStep(self._step, self.state.rng)

    def _require_finite(self, sums: Tensor) -> None:
        """Raise DivergedError if the sum of the epoch's losses is not finite."""
        if not math.isfinite(sum(sums[:2].tolist())):
            raise DivergedError(
                f"the losses of epoch {self.epoch + 1} are not finite; lower the recipe's "
                "learning_rate, for example to a tenth"
            )

    def _metrics(self, sums: Tensor) -> EpochMetrics:
        """Return the metrics of the current epoch's completed steps."""
        current = self.state.current
        loss_g, loss_d, d_real, d_fake = (sums / current.steps).tolist()
        speed = current.steps * self.batch_size / max(current.seconds, MIN_SECONDS)
        epoch, step, seconds = self.epoch + 1, self.step, self.seconds
        return EpochMetrics(epoch, step, loss_g, loss_d, d_real, d_fake, speed, seconds)

    def _count_seconds(self, start: float) -> float:
        """Count the time since `start` as training time, and return the current time."""
        now = time.perf_counter()
        self.state.current.seconds += now - start
        self.state.seconds += now - start
        return now

    def _random_inputs(self) -> GeneratorInputs:
        """Sample the inputs of the whole batch, and return this process's share of them."""
        rng, batch, shard = self.state.rng, self.batch_size, self.processes.shard
        classes, shape = self.dataset.classes, (batch, self.recipe.noise_dim)
        label = torch.randint(classes, (batch,), generator=rng, device=self.device)
        noise = torch.randn(shape, generator=rng, device=self.device)
        return GeneratorInputs(shard(noise), shard(label))

    def _image_order(self) -> Tensor:
        """Return the indices of the epoch's images, shuffled within each pass over the dataset."""
        rng, count, device = self.state.rng, len(self.labels), self.device
        passes = range(self.passes_per_epoch)
        return torch.cat([torch.randperm(count, generator=rng, device=device) for _ in passes])

    def _zero_sums(self) -> Tensor:
        # Apple's GPUs have no float64. The few hundred terms of an epoch do not need it.
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        return torch.zeros(4, dtype=dtype, device=self.device)
