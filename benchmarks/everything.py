"""Every question, one after the other: `make bench`.

    python benchmarks/everything.py [--quick] [NAME ...]


A question that fails does not keep the others from being asked; the exit code tells.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import click

QUESTIONS = ("inference", "roofline", "start", "training", "frontier", "growth")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(QUESTIONS))
@click.option("--quick", is_flag=True, help="The short form: two minutes, no pages.")
def main(names: tuple[str, ...], quick: bool) -> None:
    """Ask the questions NAMES, or all."""
    failed = []
    for name in names or QUESTIONS:
        began = time.perf_counter()
        script = Path(__file__).with_name(f"{name}.py")
        done = subprocess.run(
            [sys.executable, script, *["--quick"] * quick],
            env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
            check=False,
        )
        failed += [name] * bool(done.returncode)
        click.echo(f"[{name}: {time.perf_counter() - began:.0f} s]\n", err=True)
    if failed:
        raise click.ClickException(f"{', '.join(failed)} failed; see above")


if __name__ == "__main__":
    main()
