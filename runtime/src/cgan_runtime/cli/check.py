"""The command cgan-check."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cgan_runtime.cli import class_options, options, runner
from cgan_runtime.errors import CganError, printable

if TYPE_CHECKING:
    from cgan_runtime.diagnostics.device_check import DeviceReport

# The help is a constant, because python -OO removes docstrings.
HELP = """\
Check that this device generates correct images, and measure its speed.

Generates the golden images stored in the model and compares the pixels. The exit code is 0 if no
pixel differs by more than the tolerance of the execution provider. The tolerance is 0 for a
bit-exact model on the CPU. The report also shows the installed versions and the provider in use.
"""
EXAMPLES = """\b
Examples:
  cgan-check
  cgan-check --provider cuda
  cgan-check --model digits.onnx --json
"""


@click.command(
    "cgan-check",
    cls=class_options.OptionsOnlyCommand,
    help=HELP,
    epilog=EXAMPLES,
    context_settings=runner.CONTEXT_SETTINGS,
)
@options.model
@options.expect_sha256
@options.provider
@options.threads(default="one per CPU")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@options.quiet("the report of --json")
@options.debug
@options.version
def command(
    model: Path | None,
    expect_sha256: str | None,
    provider: str,
    threads: int | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Run cgan-check with parsed options."""
    try:
        runner.require_memory()
        from cgan_runtime.diagnostics.device_check import check_device
        from cgan_runtime.inference.session import limit_log

        limit_log()
        report = check_device(model, provider, threads, expect_sha256)
    except (CganError, click.ClickException) as error:
        if as_json:
            click.echo(runner.json_text({"passed": False, "error": str(error)}))
        raise
    error_text = None if report.passed else _explain(report)
    values = _as_json(report, error_text)
    runner.echo_report(values, _as_table(report), as_json=as_json, quiet=quiet)
    if error_text is not None:
        raise CganError(error_text)


def _explain(report: "DeviceReport") -> str:
    return (
        f"the max pixel error of the golden images is {report.golden_max_error} of 255, more than "
        f"the tolerance of {report.golden_tolerance}; copy the model again, or use another "
        "onnxruntime or provider"
    )


def _as_json(report: "DeviceReport", error: str | None) -> dict[str, Any]:
    return {
        "passed": report.passed,
        **({"error": error} if error else {}),
        "versions": report.versions,
        "installed": report.onnxruntime_distributions,
        "offered": report.available_providers,
        "provider": report.provider,
        "nodes": report.node_counts,
        "not_cuda": report.no_cuda_reason,
        "model": report.model,
        "golden": {
            "images": report.golden_images,
            "max_pixel_error": report.golden_max_error,
            "tolerance": report.golden_tolerance,
        },
        "load_milliseconds": round(report.load_seconds * 1e3, 2),
        "latency_microseconds": round(report.speed.latency * 1e6, 1),
        "images_per_second": round(report.speed.throughput),
    }


def _as_table(report: "DeviceReport") -> str:
    model, versions = report.model, report.versions
    channels, height, width = model["shape"]
    color = "color" if channels > 1 else "gray"
    distributions = report.onnxruntime_distributions
    installed = ", ".join(f"{name} {version}" for name, version in distributions.items())
    conflict = "; they overwrite each other, keep one" if len(distributions) > 1 else ""
    counts = report.node_counts
    own, total = counts.get(report.provider, 0), sum(counts.values())
    nodes = f"{own} of {total} nodes" if counts else ""
    rows = {
        "runtime": f"cgan-runtime {versions['cgan-runtime']}, Python {versions['python']}, "
        f"numpy {versions['numpy']}, {versions['platform']}",
        "onnxruntime": f"{versions['onnxruntime']} (installed: {installed or 'unknown'}{conflict})",
        "available": ", ".join(report.available_providers),
        "provider": report.provider + (f" (computes {nodes})" if nodes else ""),
        **({"not CUDA": report.no_cuda_reason} if report.no_cuda_reason else {}),
        "model": f"{model['path']}, {model['size_bytes']:,} bytes",
        "SHA-256": model["sha256"],
        "contents": f"{model['dataset'] or 'unnamed dataset'}: {len(model['classes'])} classes, "
        f"{height} x {width} pixels, {color}, {model['precision']}, contract {model['contract']}",
        "bit-exact": "yes" if model["bit_exact"] else "no",
        "golden images": f"{report.golden_images} compared, max pixel error "
        f"{report.golden_max_error} of 255: {'passed' if report.passed else 'FAILED'}",
        "load": f"{report.load_seconds * 1e3:.0f} ms",
        "one image": f"{report.speed.latency * 1e6:.0f} µs",
        "batches": f"{report.speed.throughput:,.0f} images/s",
    }
    return "\n".join(f"{name:<13}  {printable(value)}" for name, value in rows.items())


def main() -> None:
    """Run cgan-check and exit with its exit code."""
    runner.run_quickly(command)
