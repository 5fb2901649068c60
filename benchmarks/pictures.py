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
    """The command that writes a picture, and the files that the picture depends on."""

    command: str  # command, run in the root folder
    inputs: tuple[str, ...]  # patterns of files, relative to the root folder
    is_measured: bool = False  # the command takes hours or needs a dataset, so it is not run here


def _of_benchmark(name: str) -> Picture:
    inputs = (f"benchmarks/history/{name}.jsonl",)
    return Picture(f"make bench BENCH_FLAGS={name}", inputs, is_measured=True)


BENCHMARKS = ("frontier", "inference", "roofline", "scaling", "startup", "training")
QUALITY = "python benchmarks/quality.py, as docs/quality.md says"
CLASSIC = "cgan-train --recipe classic, as docs/classic.md says"
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
    "docs/benchmarks/memory.png": Picture(
        "python benchmarks/memory.py", ("docs/benchmarks/memory.json",), is_measured=True
    ),
    "docs/classic/curve.png": Picture(
        "python benchmarks/classic_curve.py", ("docs/classic/curve.json",), is_measured=True
    ),
    "docs/quality/curve.png": Picture(
        "python benchmarks/quality_curve.py", ("docs/quality/curve.json",), is_measured=True
    ),
    "runtime/src/cgan_runtime/models/digits.png": Picture(
        "cgan-export --card, as `make model` does", (MODEL,), is_measured=True
    ),
}
PICTURES |= {f"docs/benchmarks/{name}.png": _of_benchmark(name) for name in BENCHMARKS}
PICTURES |= {
    f"docs/quality/{name}.png": Picture(QUALITY, (MODEL,), is_measured=True)
    for name in ("confusion", "nearest", "sheet")
}
PICTURES |= {
    f"docs/quality/{name}.png": Picture(
        QUALITY, (f"docs/quality/{name.split('/')[0]}/rows.json",), is_measured=True
    )
    for name in (
        "cifar/sheet",
        "fashion/sheet",
        "few/sheet",
        "optdigits/nearest",
        "optdigits/sheet",
    )
}
PICTURES |= {
    path: Picture(CLASSIC, ("docs/classic/curve.json",), is_measured=True)
    for path in ("docs/classic/curves.png", "docs/classic/sheet.png", "docs/classic/samples.webp")
}
PICTURES["docs/quality/course.png"] = Picture(
    "cgan-train --eval-every, as docs/quality.md says",
    ("docs/quality/curve.json",),
    is_measured=True,
)
TUTORIAL = "python benchmarks/tutorial.py --run"
PICTURES |= {
    f"docs/tutorial/{name}.png": Picture(TUTORIAL, (f"docs/tutorial/{page}.md",), is_measured=True)
    for page, names in {
        "README": ("digits", "losses", "no_condition", "same_noise", "walk"),
        "solutions": ("half", "label_blind", "least_squares", "scaled"),
    }.items()
    for name in names
}
PICTURES |= {
    f"docs/tutorial/gallery/{path.name}": Picture(
        TUTORIAL, ("docs/tutorial/gallery.md", "docs/tutorial/tutorial.toml"), is_measured=True
    )
    for path in (harness.ROOT / "docs" / "tutorial" / "gallery").glob("*.png")
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
