"""Update the pictures of the documentation whose inputs changed: `make pictures`.

    python benchmarks/pictures.py               # update the pictures that are out of date
    python benchmarks/pictures.py --measured    # record that measured pictures are up to date

Measurements write their own pictures, so give --measured after a measurement. docs/pictures.json
holds the SHA-256 of the inputs from which each picture was made.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import harness

RECORD = harness.ROOT / "docs" / "pictures.json"
MODEL = "runtime/src/cgan_runtime/models/digits.onnx"


class Picture(NamedTuple):
    """How to write a picture, and the files that it depends on."""

    command: str  # to run in the root folder; if is_measured, how to measure the picture
    inputs: tuple[str, ...]  # patterns of files, relative to the root folder
    is_measured: bool = False  # the command takes hours or needs a dataset, so it is not run here


def _measured(command: str, *inputs: str) -> Picture:
    return Picture(command, inputs, is_measured=True)


QUALITY = "python benchmarks/quality.py, as docs/quality.md says"
CLASSIC = "cgan-train --recipe classic, as docs/classic.md says"
TUTORIAL = "python benchmarks/tutorial.py --run"
PICTURES = {
    "docs/digits.png": Picture(
        "cgan-run --digits 0123456789 --count 10 --seed 1 --scale 3 --output docs/digits.png",
        (MODEL,),
    ),
    "docs/walk.png": Picture(
        "cgan-run --digits 2026 --walk 7:8 --columns 2 --scale 4 --output docs/walk.png",
        (MODEL,),
    ),
    "docs/same_noise.png": Picture(
        "cgan-run --same-noise --count 4 --seed 7 --scale 2 --output docs/same_noise.png",
        (MODEL,),
    ),
    "docs/web.png": Picture(
        "node web/test/screenshot.mjs docs/web.png",
        (MODEL, "web/src/*.html", "web/src/*.css", "web/test/screenshot.mjs"),
    ),
    "runtime/src/cgan_runtime/models/digits.png": _measured(
        "cgan-export --card, as `make model` does", MODEL
    ),
    "docs/benchmarks/memory.png": _measured(
        "python benchmarks/memory.py", "docs/benchmarks/memory.json"
    ),
    **{
        f"docs/benchmarks/{name}.png": _measured(
            f"make bench BENCH_FLAGS={name}", f"benchmarks/history/{name}.jsonl"
        )
        for name in ("frontier", "inference", "roofline", "scaling", "startup", "training")
    },
    "docs/classic/curve.png": _measured(
        "python benchmarks/classic_curve.py", "docs/classic/curve.json"
    ),
    **{
        f"docs/classic/{name}": _measured(CLASSIC, "docs/classic/curve.json")
        for name in ("curves.png", "sheet.png", "samples.webp")
    },
    "docs/quality/curve.png": _measured(
        "python benchmarks/quality_curve.py", "docs/quality/curve.json"
    ),
    "docs/quality/course.png": _measured(
        "cgan-train --eval-every, as docs/quality.md says", "docs/quality/curve.json"
    ),
    **{
        f"docs/quality/{name}.png": _measured(QUALITY, MODEL)
        for name in ("confusion", "nearest", "sheet")
    },
    **{
        f"docs/quality/{dataset}/{name}.png": _measured(
            QUALITY, f"docs/quality/{dataset}/rows.json"
        )
        for dataset, name in (
            ("cifar", "sheet"),
            ("fashion", "sheet"),
            ("few", "sheet"),
            ("optdigits", "nearest"),
            ("optdigits", "sheet"),
        )
    },
    **{
        f"docs/tutorial/{name}.png": _measured(TUTORIAL, "docs/tutorial/README.md")
        for name in ("digits", "losses", "no_condition", "same_noise", "walk")
    },
    **{
        f"docs/tutorial/{name}.png": _measured(TUTORIAL, "docs/tutorial/solutions.md")
        for name in ("half", "label_blind", "least_squares", "scaled")
    },
    **{
        f"docs/tutorial/gallery/{name}.png": _measured(
            TUTORIAL, "docs/tutorial/gallery.md", "docs/tutorial/tutorial.toml"
        )
        for name in (
            "blind",
            "collapsed",
            "diverged",
            "gan",
            "ignored",
            "strong",
            "varied",
            "works",
        )
    },
}


def inputs_sha256(picture: Picture) -> str:
    """Return one hash of the names and contents of a picture's inputs.

    Raises:
        click.ClickException: a pattern matches no file.
    """
    digest = hashlib.sha256()
    for pattern in picture.inputs:
        paths = sorted(harness.ROOT.glob(pattern))
        if not paths:
            raise click.ClickException(f"no file matches {pattern}; correct the table of pictures")
        for path in paths:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(harness.ROOT).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def out_of_date() -> list[str]:
    """Return the pictures whose inputs differ from the recorded ones."""
    recorded = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    return [
        path for path, picture in PICTURES.items() if recorded.get(path) != inputs_sha256(picture)
    ]


@click.command()
@click.option("--measured", is_flag=True, help="Record the inputs of measured pictures as current.")
def main(measured: bool) -> None:
    """Update the pictures whose inputs changed."""
    recorded = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    to_measure = []
    for path in out_of_date():
        picture = PICTURES[path]
        if picture.is_measured and not measured:
            to_measure.append(f"{path}: {picture.command}")
            continue
        if not picture.is_measured:
            click.echo(picture.command)
            environment = os.environ | {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            }
            command = shlex.split(picture.command)
            subprocess.run(command, cwd=harness.ROOT, env=environment, check=True)
        recorded[path] = inputs_sha256(picture)
        RECORD.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if to_measure:
        raise click.ClickException("measure again, then give --measured: " + "; ".join(to_measure))


if __name__ == "__main__":
    main()
