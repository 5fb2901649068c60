"""How fast is training? The loop as it is usually written, the classic recipe, the default one.

    make bench BENCH_FLAGS=training      (or: python benchmarks/training.py [--quick])
    python benchmarks/training.py --device cuda     # writes docs/benchmarks/training-cuda.md

The usual loop: torchvision's MNIST class with ToTensor and Normalize, a DataLoader, sigmoid and
BCELoss, two passes through the discriminator, losses read with .item() at each step. Ours:
cgan_training's Trainer. Images a second are measured here. How many images each needs until a
judge reads 97 and 99 % of its digits as asked is read from docs/quality/curve.json, which two whole
runs left there (benchmarks/quality_curve.py): an hour that nobody wants to wait for again. The
usual loop learns what the classic recipe learns, and so needs as many.
"""

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import harness
import torch
from torch import Tensor, nn

from cgan_runtime.cli import conventions
from cgan_training.data import Dataset, load_dataset
from cgan_training.data.torchvision_ops import import_torchvision_datasets
from cgan_training.engine.trainer import Trainer
from cgan_training.hardware.precision import resolve_precision
from cgan_training.recipe.schema import load_recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUESTION = "training"
ROUNDS, QUICK_ROUNDS = 5, 2
STEPS, QUICK_STEPS = 25, 10  # a turn
CUDA_STEPS = 200  # a turn: more than are taken before a step is recorded
WORKERS = 4  # processes that load data beside the usual loop, where a GPU would wait for it
GOALS = (0.97, 0.99)  # of the digits read as asked
CURVE = harness.ROOT / "docs" / "quality" / "curve.json"
USUAL = "the usual loop"

INTRODUCTION = """\
Images of real MNIST a second, medians of interleaved rounds of {steps} steps; on one thread a
second of CPU time, which is what the clock shows on an idle machine. Ratios are to the usual loop
on as many threads. Minutes until a judge reads 97 and 99 % of 10,000 digits as the digit asked for:
the images that whole runs needed (`docs/quality/curve.json`, measured at every second epoch of
edge, every tenth of seed) over the images a second measured here."""


CUDA_INTRODUCTION = """\
Images of real MNIST a second on one {gpu}, medians of interleaved rounds of {steps} steps by the
clock. Ratios are to the usual loop with the DataLoader as it comes; with {workers} workers, the
usual cure, it is shown too. Seconds until a judge reads 97 and 99 % of 10,000 digits as the digit
asked for: the images that whole runs needed (`docs/quality/curve.json`, on a CPU) over the images a
second measured here."""


def usual_loop(trainer: Trainer, data_dir: Path, workers: int = 0) -> Callable[[int], None]:
    """Return a function that trains so many steps the usual way, from the trainer's weights."""
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
            judged = torch.sigmoid(discriminator(generator(noise, fake_label), fake_label).logit)
            loss_g = criterion(judged, ones)
            loss_g.backward()
            optimizer_g.step()

            optimizer_d.zero_grad()
            loss_real = criterion(torch.sigmoid(discriminator(real, label).logit), ones)
            noise = torch.randn(count, recipe.noise_dim, device=device)
            fake_label = torch.randint(0, 10, (count,), device=device)
            fake = generator(noise, fake_label)
            judged = torch.sigmoid(discriminator(fake.detach(), fake_label).logit)
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
@click.option("--quick", is_flag=True, help="Fewer rounds and steps, one thread; no page.")
@click.option("--data-dir", type=click.Path(path_type=Path), default="data", envvar="CGAN_DATA_DIR")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
def main(quick: bool, data_dir: Path, device: str) -> None:
    """Measure, record and write the page."""
    data = load_dataset("mnist", data_dir)[0]
    if device == "cuda":
        on_cuda(data, data_dir, quick)
        return
    steps = QUICK_STEPS if quick else STEPS
    rows = []
    counts, missing = ([1], {}) if quick else harness.thread_counts()
    for threads in counts:
        with harness.pinned(threads):
            torch.set_num_threads(threads)
            found = measured(loops(data, data_dir, torch.device(device)), steps, quick, threads)
        rows += found
    settings = {"steps": steps, "device": device}
    line = harness.record(QUESTION, rows, quick=quick, missing=missing, settings=settings)
    words = INTRODUCTION.format(steps=steps)
    click.echo(harness.publish(QUESTION, line, page(rows, words), plot(rows)))


def on_cuda(data: Dataset, data_dir: Path, quick: bool) -> None:
    """Measure on a GPU, where the clock counts and the host's threads do not."""
    device = torch.device("cuda")
    ours = loops(data, data_dir, device)
    seed = load_recipe("seed")
    classic, rounded = (Trainer(replace(seed, precision=p), data, device) for p in ("fp32", "tf32"))
    classic.recorder = None
    ours[f"{USUAL}, {WORKERS} workers"] = (
        usual_loop(classic, data_dir, WORKERS),
        classic.batch_size,
        "seed",
    )
    ours["recipe seed, tf32"] = our_loop(rounded), rounded.batch_size, "seed"
    ours["recipe seed, fp32, not recorded"] = our_loop(classic), classic.batch_size, "seed"
    rows = measured(ours, CUDA_STEPS, quick, torch.get_num_threads())
    gpu = torch.cuda.get_device_name()
    settings = {"steps": CUDA_STEPS, "device": "cuda", "gpu": gpu}
    question = f"{QUESTION}-cuda"
    line = harness.record(question, rows, quick=quick, settings=settings)
    words = CUDA_INTRODUCTION.format(gpu=gpu, steps=CUDA_STEPS, workers=WORKERS)
    click.echo(harness.publish(question, line, page(rows, words, cuda=True)))


Loop = tuple[Callable[[int], None], int, str]  # trains so many steps; batch size; recipe


def loops(data: Dataset, data_dir: Path, device: torch.device) -> dict[str, Loop]:
    """Return the usual loop and ours."""
    seed, edge = load_recipe("seed"), load_recipe("edge")
    trainers = {
        "recipe seed, fp32": (Trainer(seed, data, device), "seed"),
        "recipe seed, bf16": (Trainer(replace(seed, precision="bf16"), data, device), "seed"),
        f"recipe edge, {resolve_precision(edge, device).precision}": (
            Trainer(edge, data, device),
            "edge",
        ),
    }
    classic = next(iter(trainers.values()))[0]
    return {USUAL: (usual_loop(classic, data_dir), classic.batch_size, "seed")} | {
        name: (our_loop(trainer), trainer.batch_size, recipe)
        for name, (trainer, recipe) in trainers.items()
    }


def measured(loops: dict[str, Loop], steps: int, quick: bool, threads: int) -> list[dict[str, Any]]:
    """Time the loops beside each other; return a row for each."""
    timings = harness.interleaved(
        {name: partial(_synchronised, loop, steps) for name, (loop, *_) in loops.items()},
        QUICK_ROUNDS if quick else ROUNDS,
        1e-9,  # one call a turn
    )
    return [
        {
            "loop": name,
            "threads": threads,
            "recipe": recipe,
            "images_per_second": float(f"{batch * steps / timings[name].seconds(threads):.4g}"),
            **timings[name].facts(),
            **{f"images_to_{goal:.0%}": images_until(recipe, goal) for goal in GOALS},
        }
        for name, (_, batch, recipe) in loops.items()
    ]


def _synchronised(run: Callable[[int], None], steps: int) -> None:
    run(steps)
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def images_until(recipe: str, goal: float) -> int | None:
    """Return how many images a whole run saw until it reached a label accuracy, or None."""
    run = json.loads(CURVE.read_text(encoding="utf-8"))[recipe]
    reached = [each["epoch"] for each in run["points"] if each["label_accuracy"] >= goal]
    return min(reached) * int(run["config"]["recipe"]["epoch_images"]) if reached else None


def page(rows: list[dict[str, Any]], introduction: str, *, cuda: bool = False) -> str:
    """Return the page's Markdown."""
    usual = {row["threads"]: row["images_per_second"] for row in rows if row["loop"] == USUAL}
    unit, seconds = ("seconds", 1) if cuda else ("minutes", 60)
    lines = [
        [
            row["loop"],
            *([] if cuda else [row["threads"]]),
            f"{row['images_per_second']:,.0f}",
            f"{row['images_per_second'] / usual[row['threads']]:.{1 if cuda else 2}f}",
            *(
                f"{images / row['images_per_second'] / seconds:,.1f}" if images else "never"
                for images in (row[f"images_to_{goal:.0%}"] for goal in GOALS)
            ),
        ]
        for row in rows
    ]
    head = ["", *([] if cuda else ["threads"]), "images/s", "ratio"]
    head += [f"{unit} to {goal:.0%}" for goal in GOALS]
    title = "Training on a GPU" if cuda else "Training"
    return f"# {title}\n\n{introduction}\n\n{harness.table(head, lines)}"


def plot(rows: list[dict[str, Any]]) -> "Figure":
    """Return images a second, and minutes to 97 and 99 %, as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.5), layout="constrained")
    speed, minutes = figure.subplots(1, 2, sharey=True)
    names = [f"{row['loop']}, {row['threads']} thread(s)" for row in rows]
    speed.barh(names, [row["images_per_second"] for row in rows])
    speed.set(xlabel="images a second")
    for goal, height in ((GOALS[1], 0.8), (GOALS[0], 0.4)):
        needed = [row[f"images_to_{goal:.0%}"] or 0 for row in rows]
        spent = [
            images / row["images_per_second"] / 60 for images, row in zip(needed, rows, strict=True)
        ]
        minutes.barh(names, spent, height=height, label=f"{goal:.0%}")
    minutes.set(xlabel="minutes until so many digits are read as asked", xscale="log")
    minutes.legend()
    speed.invert_yaxis()
    for axes in (speed, minutes):
        axes.grid(alpha=0.3, axis="x")
    return figure


if __name__ == "__main__":
    conventions.run(main)
