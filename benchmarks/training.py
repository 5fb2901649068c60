"""Training speed: a typical PyTorch loop, the classic recipe and the default recipe.

    make bench BENCH_FLAGS=training      (or: python benchmarks/training.py [--quick])
    python benchmarks/training.py --device cuda     # writes docs/benchmarks/training-cuda.md

The typical loop uses torchvision's MNIST class with ToTensor and Normalize, a DataLoader, sigmoid
and BCELoss, separate discriminator passes for real and generated images, and .item() at each step.
Our loop is cgan_training's Trainer. This script measures images per second. The number of images
until a label accuracy of 97 and 99 % is read from docs/quality/curve.json, because such a training
run takes an hour (benchmarks/quality_curve.py). The typical loop trains the same networks as the
classic recipe, so it is assumed to need the same number of images.
"""

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import harness
import torch
from torch import Tensor, nn

from cgan_runtime.cli import runner
from cgan_training.data import Dataset, load_dataset
from cgan_training.data.sources.download import import_torchvision_datasets
from cgan_training.engine import Trainer
from cgan_training.hardware.precision import resolve_precision
from cgan_training.recipe import load_recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BENCHMARK = "training"
ROUNDS, QUICK_ROUNDS = 5, 2
STEPS, QUICK_STEPS = 25, 10  # training steps per measurement
CUDA_STEPS = 200  # more steps, because the first ones run before the CUDA graph is captured
WORKERS = 4  # data loading processes of the typical loop, so that a GPU does not wait
GOALS = (0.97, 0.99)  # label accuracies
CURVE = harness.ROOT / "docs" / "quality" / "curve.json"
TYPICAL = "typical PyTorch loop"

INTRODUCTION = """\
The table shows MNIST images per second: medians of interleaved rounds of {steps} steps. On one
thread, the time is CPU time, which equals the wall time on an idle machine. Ratios are speedups
over the typical loop with the same number of threads. The minutes to a label accuracy of 97 and
99 % are calculated: the number of images until a full training run reached it
(`docs/quality/curve.json`, evaluated over 10,000 images at every second epoch of edge and every
tenth of classic), divided by the images per second measured here."""

CUDA_INTRODUCTION = """\
The table shows MNIST images per second of wall time on one {gpu}: medians of interleaved rounds of
{steps} steps. Ratios are speedups over the typical loop with a default DataLoader. The typical loop
is also shown with {workers} DataLoader workers, the usual remedy for slow data loading. The seconds
to a label accuracy of 97 and 99 % are calculated: the number of images until a full training run on
a CPU reached it (`docs/quality/curve.json`), divided by the images per second measured here."""


class Loop(NamedTuple):
    """A training loop to measure."""

    train: Callable[[int], None]  # train for a number of steps
    batch_size: int
    recipe: str  # name of the recipe with the same networks


def typical_loop(trainer: Trainer, data_dir: Path, workers: int = 0) -> Callable[[int], None]:
    """Return a function that trains copies of the trainer's networks with a typical loop."""
    datasets = import_torchvision_datasets()
    from torchvision import transforms

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])
    data: Any = datasets.MNIST(str(data_dir), train=True, transform=transform)
    recipe, device = trainer.recipe, trainer.device
    loader = torch.utils.data.DataLoader(
        data,
        batch_size=recipe.batch_size,
        shuffle=True,
        num_workers=workers,
        pin_memory=workers > 0,
        persistent_workers=workers > 0,
    )
    generator, discriminator = copy.deepcopy((trainer.state.generator, trainer.state.discriminator))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=recipe.learning_rate)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=recipe.learning_rate)
    criterion = nn.BCELoss()
    batches: Iterator[list[Tensor]] = itertools.chain.from_iterable(itertools.repeat(loader))

    def probability(image: Tensor, label: Tensor) -> Tensor:
        logits, _ = discriminator(image, label)
        return torch.sigmoid(logits)

    def run(steps: int) -> None:
        for images, labels in itertools.islice(batches, steps):
            real, label = images.to(device), labels.to(device)
            count = len(label)
            ones, zeros = torch.ones(count, device=device), torch.zeros(count, device=device)

            optimizer_g.zero_grad()
            noise = torch.randn(count, recipe.noise_dim, device=device)
            fake_label = torch.randint(0, 10, (count,), device=device)
            loss_g = criterion(probability(generator(noise, fake_label), fake_label), ones)
            loss_g.backward()
            optimizer_g.step()

            optimizer_d.zero_grad()
            loss_real = criterion(probability(real, label), ones)
            noise = torch.randn(count, recipe.noise_dim, device=device)
            fake_label = torch.randint(0, 10, (count,), device=device)
            fake = generator(noise, fake_label).detach()
            loss_d = (loss_real + criterion(probability(fake, fake_label), zeros)) / 2
            loss_d.backward()
            optimizer_d.step()
            loss_g.item(), loss_d.item()

    return run


def our_loop(trainer: Trainer) -> Callable[[int], None]:
    """Return a function that trains with the Trainer."""

    def run(steps: int) -> None:
        last = trainer.step + steps
        while trainer.step < last:  # an epoch may be shorter than the measurement
            trainer.train_epoch(lambda _steps, _sums: trainer.step < last)

    return run


@click.command()
@click.option("--quick", is_flag=True, help="Use fewer rounds and steps, and one thread.")
@click.option("--data-dir", type=click.Path(path_type=Path), default="data", envvar="CGAN_DATA_DIR")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
def main(quick: bool, data_dir: Path, device: str) -> None:
    """Measure, record and write the page."""
    data = load_dataset("mnist", data_dir)[0]
    if device == "cuda":
        measure_on_cuda(data, data_dir, quick)
        return
    steps = QUICK_STEPS if quick else STEPS
    rows = []
    counts, missing = ([1], {}) if quick else harness.thread_counts()
    for threads in counts:
        with harness.pinned_cpus(threads):
            torch.set_num_threads(threads)
            rows += measure(loops(data, data_dir, torch.device(device)), steps, quick, threads)
    settings = {"steps": steps, "device": device}
    record = harness.append_record(BENCHMARK, rows, quick=quick, missing=missing, settings=settings)
    click.echo(harness.publish(BENCHMARK, record, page(record), plot(rows)))


def measure_on_cuda(data: Dataset, data_dir: Path, quick: bool) -> None:
    """Measure wall time on a GPU, with PyTorch's default number of host threads."""
    device = torch.device("cuda")
    recipe = load_recipe("classic")
    eager, tf32 = (Trainer(replace(recipe, precision=p), data, device) for p in ("fp32", "tf32"))
    eager.graph_step = None  # no CUDA graph
    batch = eager.batch_size
    measured = loops(data, data_dir, device) | {
        f"{TYPICAL}, {WORKERS} workers": Loop(
            typical_loop(eager, data_dir, WORKERS), batch, "classic"
        ),
        "recipe classic, tf32": Loop(our_loop(tf32), batch, "classic"),
        "recipe classic, fp32, no CUDA graph": Loop(our_loop(eager), batch, "classic"),
    }
    rows = measure(measured, CUDA_STEPS, quick, torch.get_num_threads())
    settings = {"steps": CUDA_STEPS, "device": "cuda", "gpu": torch.cuda.get_device_name()}
    name = f"{BENCHMARK}-cuda"
    record = harness.append_record(name, rows, quick=quick, settings=settings)
    click.echo(harness.publish(name, record, page(record)))


def loops(data: Dataset, data_dir: Path, device: torch.device) -> dict[str, Loop]:
    """Return the typical loop and ours, by name."""
    classic, edge = load_recipe("classic"), load_recipe("edge")
    precision = resolve_precision(edge, device).precision
    recipes = {
        "recipe classic, fp32": classic,
        "recipe classic, bf16": replace(classic, precision="bf16"),
        f"recipe edge, {precision}": edge,
    }
    trainers = {name: Trainer(recipe, data, device) for name, recipe in recipes.items()}
    first = trainers["recipe classic, fp32"]
    return {TYPICAL: Loop(typical_loop(first, data_dir), first.batch_size, "classic")} | {
        name: Loop(our_loop(trainer), trainer.batch_size, trainer.recipe.name)
        for name, trainer in trainers.items()
    }


def measure(loops: dict[str, Loop], steps: int, quick: bool, threads: int) -> list[dict[str, Any]]:
    """Time the loops in interleaved rounds, and return a row for each."""

    def run(train: Callable[[int], None]) -> None:
        train(steps)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    timings = harness.time_interleaved(
        {name: partial(run, loop.train) for name, loop in loops.items()},
        QUICK_ROUNDS if quick else ROUNDS,
        seconds=1e-9,  # one call per measurement
    )
    return [
        {
            "loop": name,
            "threads": threads,
            "recipe": loop.recipe,
            "images_per_second": float(
                f"{loop.batch_size * steps / timings[name].seconds(threads):.4g}"
            ),
            **timings[name].summary(),
            **{f"images_to_{goal:.0%}": images_until(loop.recipe, goal) for goal in GOALS},
        }
        for name, loop in loops.items()
    ]


def images_until(recipe: str, goal: float) -> int | None:
    """Return how many images a full run needed to reach a label accuracy, or None."""
    run = json.loads(CURVE.read_text(encoding="utf-8"))[recipe]
    epochs = [each["epoch"] for each in run["points"] if each["label_accuracy"] >= goal]
    return min(epochs) * int(run["config"]["recipe"]["min_images_per_epoch"]) if epochs else None


def page(record: dict[str, Any]) -> str:
    """Return the page's Markdown for a record."""
    rows, settings = record["rows"], record["settings"]
    cuda = settings["device"] == "cuda"
    typical = {row["threads"]: row["images_per_second"] for row in rows if row["loop"] == TYPICAL}
    unit, seconds = ("seconds", 1) if cuda else ("minutes", 60)
    lines = [
        [
            row["loop"],
            *([] if cuda else [row["threads"]]),
            f"{row['images_per_second']:,.0f}",
            f"{row['images_per_second'] / typical[row['threads']]:.{1 if cuda else 2}f}",
            *(
                f"{images / row['images_per_second'] / seconds:,.1f}" if images else "never"
                for images in (row[f"images_to_{goal:.0%}"] for goal in GOALS)
            ),
        ]
        for row in rows
    ]
    head = ["loop", *([] if cuda else ["threads"]), "images/s", "speedup"]
    head += [f"{unit} to {goal:.0%}" for goal in GOALS]
    title = "Training on a GPU" if cuda else "Training"
    introduction = CUDA_INTRODUCTION if cuda else INTRODUCTION
    introduction = introduction.format(workers=WORKERS, **settings)
    return f"# {title}\n\n{introduction}\n\n{harness.table(head, lines)}"


def plot(rows: list[dict[str, Any]]) -> "Figure":
    """Return a bar chart of images per second, and of the minutes until 97 and 99 %."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.5), layout="constrained")
    speed, minutes = figure.subplots(1, 2, sharey=True)
    names = [
        f"{row['loop']}, {row['threads']} {'thread' if row['threads'] == 1 else 'threads'}"
        for row in rows
    ]
    speed.barh(names, [row["images_per_second"] for row in rows])
    speed.set(xlabel="images per second")
    for goal, height in ((GOALS[1], 0.8), (GOALS[0], 0.4)):
        durations = [
            (row[f"images_to_{goal:.0%}"] or 0) / row["images_per_second"] / 60 for row in rows
        ]
        minutes.barh(names, durations, height=height, label=f"{goal:.0%}")
    minutes.set(xlabel="minutes until this label accuracy", xscale="log")
    minutes.legend()
    speed.invert_yaxis()
    for axes in (speed, minutes):
        axes.grid(alpha=0.3, axis="x")
    return figure


if __name__ == "__main__":
    runner.run(main)
