"""How fast is training? The loop as it is usually written, beside ours.

    make bench    (or: python benchmarks/training_speed.py [--rounds 7] [--steps 60] [--threads N])

The usual loop: torchvision's MNIST class with ToTensor and Normalize, a DataLoader, sigmoid and
BCELoss, two passes through the discriminator, losses read with .item() at each step. Ours:
cgan_training's Trainer. Same networks, same batch, same machine; the rounds alternate, so that
what slows the machine slows both. Prints a Markdown table of medians.
"""

import copy
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn

from cgan_training import commands
from cgan_training.data import Dataset, load_dataset
from cgan_training.data.torchvision_ops import import_torchvision_datasets
from cgan_training.errors import TrainingError
from cgan_training.loop import Trainer
from cgan_training.recipe import load_recipe


def usual_loop(trainer: Trainer, data_dir: Path) -> Callable[[int], None]:
    """Return a function that trains so many steps the usual way, from the trainer's weights."""
    datasets = import_torchvision_datasets()
    from torchvision import transforms

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])
    data: Any = datasets.MNIST(str(data_dir), train=True, transform=transform)
    recipe, device = trainer.recipe, trainer.device
    loader = torch.utils.data.DataLoader(data, batch_size=recipe.batch_size, shuffle=True)
    generator, discriminator = copy.deepcopy((trainer.generator, trainer.discriminator))
    for layer in (*generator.modules(), *discriminator.modules()):
        if isinstance(layer, nn.Linear):
            layer.__class__ = nn.Linear  # torch's own, not our faster one
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=recipe.learning_rate)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=recipe.learning_rate)
    criterion = nn.BCELoss()
    batches: Iterator[list[Tensor]] = itertools.chain.from_iterable(itertools.repeat(loader))

    def run(steps: int) -> None:
        for images, labels in itertools.islice(batches, steps):
            real, label = images.to(device), labels.to(device)
            count = len(label)
            ones, zeros = torch.ones(count, device=device), torch.zeros(count, device=device)

            optimizer_g.zero_grad()
            noise = torch.randn(count, recipe.noise_dim, device=device)
            fake_label = torch.randint(0, 10, (count,), device=device)
            judged = torch.sigmoid(discriminator(generator(noise, fake_label), fake_label))
            loss_g = criterion(judged, ones)
            loss_g.backward()
            optimizer_g.step()

            optimizer_d.zero_grad()
            loss_real = criterion(torch.sigmoid(discriminator(real, label)), ones)
            noise = torch.randn(count, recipe.noise_dim, device=device)
            fake_label = torch.randint(0, 10, (count,), device=device)
            fake = generator(noise, fake_label)
            judged = torch.sigmoid(discriminator(fake.detach(), fake_label))
            loss_d = (loss_real + criterion(judged, zeros)) / 2
            loss_d.backward()
            optimizer_d.step()
            loss_g.item(), loss_d.item()

    return run


def our_loop(trainer: Trainer) -> Callable[[int], None]:
    """Return a function that trains so many steps with the Trainer."""

    def run(steps: int) -> None:
        last = trainer.step + steps
        while trainer.step < last:  # into the next epoch, if need be
            trainer.train_epoch(lambda _done, _sums: trainer.step < last)

    return run


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), default="data", envvar="CGAN_DATA_DIR")
@click.option("--rounds", type=click.IntRange(2), default=7, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=60, show_default=True)
@click.option("--threads", type=click.IntRange(1))
@click.option("--device", default="cpu", show_default=True)
def main(data_dir: Path, rounds: int, steps: int, threads: int | None, device: str) -> None:
    """Measure, and print a table."""
    if threads is not None:
        torch.set_num_threads(threads)
    data: Dataset = load_dataset("mnist", data_dir)[0]
    recipe, where = load_recipe("seed"), torch.device(device)
    trainer = Trainer(recipe, data, where)
    in_bf16 = Trainer(replace(recipe, precision="bf16"), data, where)
    loops = {
        "the usual loop": usual_loop(trainer, data_dir),
        "cgan-train, fp32": our_loop(trainer),
        "cgan-train, bf16": our_loop(in_bf16),
    }
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(rounds + 1):  # the first warms up
        for name, run in loops.items():
            began = time.perf_counter()
            run(steps)
            if device != "cpu":
                torch.cuda.synchronize()
            if number:
                images = steps * trainer.batch_size
                speeds[name].append(images / (time.perf_counter() - began))
    usual = statistics.median(speeds["the usual loop"])
    click.echo(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {device}, batch 100")
    click.echo("| loop | images/s (median) | lowest .. highest | ratio |\n|---|---:|---:|---:|")
    for name, figures in speeds.items():
        middle = statistics.median(figures)
        spread = f"{min(figures):,.0f} .. {max(figures):,.0f}"
        click.echo(f"| {name} | {middle:,.0f} | {spread} | {middle / usual:.2f} |")


if __name__ == "__main__":
    commands.run(main, TrainingError)
