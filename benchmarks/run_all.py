"""Run the benchmarks of `make bench`, one after the other.

    python benchmarks/run_all.py [--quick] [NAME ...]

A benchmark that fails does not stop the others, but the exit code is then 1.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import click

BENCHMARKS = ("inference", "roofline", "startup", "training", "frontier", "scaling")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(BENCHMARKS))
@click.option("--quick", is_flag=True, help="Run all in two minutes, and write no pages.")
def main(names: tuple[str, ...], quick: bool) -> None:
    """Run the benchmarks NAMES, or all of them."""
    failed = []
    for name in names or BENCHMARKS:
        start = time.perf_counter()
        script = Path(__file__).with_name(f"{name}.py")
        done = subprocess.run(
            [sys.executable, script, *(["--quick"] if quick else [])],
            env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
            check=False,
        )
        if done.returncode:
            failed.append(name)
        click.echo(f"[{name}: {time.perf_counter() - start:.0f} s]\n", err=True)
    if failed:
        raise click.ClickException(f"{', '.join(failed)} failed; see the messages above")


if __name__ == "__main__":
    main()
