"""Jobs of cgan-bulk for its tests, and what they leave behind."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

from cgan_runtime.generator import LARGEST_BATCH, ImageGenerator

START_BULK = [sys.executable, "-c", "from cgan_runtime.cli.bulk import main; main()"]
COUNT, SHARD, START, SEED, LABELS = 5000, 999, 17, 7, (3, 8, 1)
SAME_JOB = f"--count {COUNT} --shard-images {SHARD} --start {START} --digits 381".split()
MANY = 4_000_000  # images that take a while
SHARDS, IMAGES = 30, 4 * LARGEST_BATCH  # of a job that is disturbed in the middle
OWN_CLUSTER = {"RAY_ADDRESS": "local"}
TOLD = "note: a worker was killed; what it was drawing is drawn again\n"
Bulk = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]
Pixels = NDArray[np.uint8]


def home(tmp_path: Path) -> dict[str, str]:
    """Return a home for the token that Ray makes for itself."""
    return {"HOME": str(tmp_path.parent)}


def of_one_process(
    generator: ImageGenerator, labels: tuple[int, ...], seed: int, start: int, count: int
) -> tuple[Pixels, list[int]]:
    """Return the images and labels that one process streams."""
    batches = list(generator.stream(labels, seed=seed, start=start, count=count))
    images = np.concatenate([batch.images for batch in batches])
    return images, [label for batch in batches for label in batch.labels.tolist()]


def shards_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("shards/[0-9]*"))


def read_parquet(folder: Path) -> tuple[Pixels, list[int], set[int], list[int]]:
    """Return a job's images, labels, seeds and indices, in the order of its files' names."""
    tables = [parquet.read_table(path) for path in shards_in(folder)]
    rows = [b"".join(table["image"].to_pylist()) for table in tables]
    images = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 1, 28, 28)
    labels, seeds, indices = (
        [value for table in tables for value in table[name].to_pylist()]
        for name in ("label", "seed", "index")
    )
    return images, labels, set(seeds), indices


def read_idx(folder: Path) -> tuple[Pixels, list[int]]:
    """Return a job's images and labels, in the order of its files' names."""
    images, labels = b"", b""
    for path in shards_in(folder):
        content = path.read_bytes()
        if "images" in path.name:
            assert content[:4] == bytes([0, 0, 8, 3])
            shape = np.frombuffer(content, ">u4", 3, offset=4).tolist()
            assert shape[1:] == [28, 28]
            images += content[16:]
            assert len(content) == 16 + np.prod(shape)
        else:
            assert content[:4] == bytes([0, 0, 8, 1])
            labels += content[8:]
    return np.frombuffer(images, np.uint8).reshape(-1, 1, 28, 28), list(labels)


def wait_for(condition: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Wait until a condition holds, while a process lives."""
    until = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def descendants(pid: int) -> dict[int, str]:
    """Return the commands of the processes that a process started, and theirs, by their ids."""
    done = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in done.stdout.splitlines()]
    found: dict[int, str] = {}
    parents = {pid}
    while parents:
        children = {int(own): args for own, parent, args in rows if int(parent) in parents}
        parents = set(children) - set(found)
        found |= children
    return found


def workers_of(pid: int, word: str = "spawn_main") -> list[int]:
    """Return the ids of the processes that draw."""
    found = descendants(pid).items()
    return [own for own, args in found if word in args]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(done.stdout.strip()) and not done.stdout.startswith("Z")


def the_error(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the one line that a call ended with."""
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
