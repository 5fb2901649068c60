"""The command cgan-train."""

from pathlib import Path

import click

from cgan_training import __version__, commands
from cgan_training.errors import TrainingError

EXAMPLES = """\b
Examples:
  cgan-train                               the classic recipe into runs/digits
  cgan-train --data-dir ~/data --epochs 100
  cgan-train --dataset optdigits --minutes 5 --run-dir runs/quick
"""


@click.command("cgan-train", epilog=EXAMPLES)
@click.option(
    "--recipe",
    default="seed",
    show_default=True,
    help="How to train: a recipe's name, or a TOML file of the same keys.",
)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/digits"),
    show_default=True,
    help="Where the run is written; must hold no other run.",
)
@click.option(
    "--dataset",
    type=click.Choice(["auto", "mnist", "optdigits"]),
    default="auto",
    show_default=True,
    help="What to learn. auto: MNIST where it is on disk or can be downloaded, otherwise the "
    "small set that scikit-learn carries.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    envvar="CGAN_DATA_DIR",
    show_envvar=True,
    help="torchvision's root: MNIST lies, or is put, in its folder MNIST/raw.",
)
@click.option("--epochs", type=click.IntRange(1), help="Instead of the recipe's.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Instead of the recipe's.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Stop training after this long, finished or not.",
)
@click.option(
    "--keep-every",
    type=click.IntRange(0),
    default=0,
    help="Also keep the generator of every so many epochs, in RUN_DIR/models.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to train. auto: cuda where there is one.",
)
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="CPU threads.  [default: one for each core]"
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, message="%(prog)s %(version)s")
def command(
    recipe: str,
    run_dir: Path,
    dataset: str,
    data_dir: Path,
    epochs: int | None,
    seed: int | None,
    minutes: float | None,
    keep_every: int,
    device: str,
    threads: int | None,
    debug: bool,
) -> None:
    """Train a conditional GAN that draws the digit it is asked for.

    The run directory holds config.json, metrics.jsonl, a sample sheet of every epoch in
    samples/, grid.png, curves.png, checkpoint.pt, and model.pt for cgan-export.
    """
    from dataclasses import replace

    from cgan_training.recipe import load_recipe

    chosen = load_recipe(recipe)
    chosen = replace(
        chosen,
        epochs=chosen.epochs if epochs is None else epochs,
        seed=chosen.seed if seed is None else seed,
    )

    import torch

    from cgan_training.data import load_dataset
    from cgan_training.loop import choose_device
    from cgan_training.run import train

    if threads is not None:
        torch.set_num_threads(threads)
    data, settled = load_dataset(dataset, data_dir)
    if settled is not None:
        click.secho(
            f"NOT MNIST: {settled}. Training on {data.source} instead: {len(data.labels):,} "
            "images, 8 x 8 pixels enlarged. The digits will be coarser.",
            fg="yellow",
            bold=True,
            err=True,
        )
    click.echo(
        f"recipe {chosen.name}: {chosen.epochs} epochs of {len(data.labels):,} images "
        f"({data.source}) on {choose_device(device)}, into {run_dir}",
        err=True,
    )
    model = train(
        chosen,
        data,
        run_dir,
        device=choose_device(device),
        seconds_limit=None if minutes is None else minutes * 60,
        keep_every=keep_every,
        say=lambda line: click.echo(line, err=True),
    )
    click.echo(model)


def main() -> None:
    """Run cgan-train and leave with its exit code."""
    commands.run(command, TrainingError)
