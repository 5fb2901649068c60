"""The command cgan-check."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cgan_runtime import __version__
from cgan_runtime.cli import conventions, options
from cgan_runtime.errors import CganError

if TYPE_CHECKING:
    from cgan_runtime.diagnostics.device_check import Check

# Not the docstring: python -OO drops those.
HELP = """\
Tell whether this device draws what a model promises, where, and how fast.

Draws the model's golden images and compares. Exits with 0 only where they are right.
"""
EXAMPLES = """\b
Examples:
  cgan-check
  cgan-check --provider cuda
  cgan-check --model digits.onnx --json
"""


@click.command("cgan-check", help=HELP, epilog=EXAMPLES)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="A file that cgan-export wrote.  [default: the one that ships]",
)
@options.expect_sha256
@click.option(
    "--provider",
    metavar="[auto|cpu|cuda|...]",
    default="auto",
    show_default=True,
    help="Where to draw: cpu, cuda, or another that the installed onnxruntime offers. auto: CUDA "
    "where the session really gets it.",
)
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="CPU threads.  [default: one for each core]"
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, message="%(prog)s %(version)s")
def command(
    model: Path | None,
    expect_sha256: str | None,
    provider: str,
    threads: int | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Tell whether this device draws what a model promises, where, and how fast."""
    conventions.require_memory()
    from cgan_runtime.diagnostics.device_check import check

    found = check(model, provider, threads, expect_sha256)
    facts = _facts(found)
    click.echo(conventions.json_text(facts) if as_json else _words(found))
    if not found.passed:
        raise CganError(
            f"this device draws up to {found.golden_difference} grey levels off what the model "
            f"promises, allowed is {found.golden_allowed}; copy the model again, or take another "
            "onnxruntime or provider"
        )


def _facts(found: "Check") -> dict[str, Any]:
    return {
        "passed": found.passed,
        "versions": found.versions,
        "installed": found.installed,
        "offered": found.offered,
        "provider": found.provider,
        "not_cuda": found.not_cuda,
        "model": found.model,
        "golden": {
            "images": found.golden_images,
            "largest_difference": found.golden_difference,
            "allowed": found.golden_allowed,
        },
        "load_milliseconds": round(found.load_seconds * 1e3, 2),
        "latency_microseconds": round(found.speed.latency * 1e6, 1),
        "images_per_second": round(found.speed.throughput),
    }


def _words(found: "Check") -> str:
    model, versions = found.model, found.versions
    height, width = model["shape"]
    installed = ", ".join(f"{name} {version}" for name, version in found.installed.items())
    several = ": one too many, they share a folder" if len(found.installed) > 1 else ""
    rows = {
        "runtime": f"cgan-runtime {versions['cgan-runtime']}, Python {versions['python']}, "
        f"numpy {versions['numpy']}, {versions['platform']}",
        "onnxruntime": f"{versions['onnxruntime']} (installed: {installed or 'unknown'}{several})",
        "offered": ", ".join(found.offered),
        "provider": found.provider,
        **({"not CUDA": found.not_cuda} if found.not_cuda else {}),
        "model": f"{model['path']}, {model['bytes']:,} bytes",
        "SHA-256": model["sha256"],
        "draws": f"{model['dataset']}: {len(model['classes'])} classes, {height} x {width} pixels, "
        f"{model['precision']}, contract {model['contract']}",
        "golden images": f"{found.golden_images} drawn, at most {found.golden_difference} of 255 "
        f"grey levels off: {'as promised' if found.passed else 'NOT AS PROMISED'}",
        "load": f"{found.load_seconds * 1e3:.0f} ms",
        "one image": f"{found.speed.latency * 1e6:.0f} µs",
        "in bulk": f"{found.speed.throughput:,.0f} images/s",
    }
    return "\n".join(f"{name:<13}  {conventions.printable(value)}" for name, value in rows.items())


def main() -> None:
    """Run cgan-check and leave with its exit code."""
    conventions.run_and_exit(command)
