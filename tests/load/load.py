"""Draw under load, and check every answer against one that was drawn beforehand, in peace.

    python tests/load/load.py                           # ten minutes
    python tests/load/load.py --minutes 1 --threads 64

16 threads draw with one generator, then 64 commands draw at once, and commands draw where little
memory is allowed. Counts are printed as JSON; the exit code is 1 where anything was wrong.
"""

import argparse
import faulthandler
import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from cgan_runtime import CganError, ImageGenerator
from cgan_runtime.generator import LARGEST_BATCH

SCRIPT = Path(sys.executable).with_name("cgan-run")
CALLS = 240  # different ones
PATIENCE = 180  # seconds that a call may take before it counts as a deadlock
WARM = 0.25  # of the time: memory grows in it, until each thread has met the largest batch
MOST_GROWTH = 32  # megabytes, from then to the end
MEGABYTE = 2**20
LEAST, MOST = 64, 512  # megabytes of address space
PIPED = ("--format", "npy", "--output", "-")
DRAWING = ("--digits", "2026", "--count", "3", "--seed", "7", *PIPED)


@dataclass(frozen=True)
class Call:
    """Something to ask a generator for."""

    kind: str
    draw: Callable[[ImageGenerator], list[Any]]  # images, uint8 [n, 1, height, width] each
    images: int


@dataclass
class Load:
    """What came of it."""

    calls: Counter[str] = field(default_factory=Counter)
    images: int = 0
    longest: float = 0.0  # seconds that a call took
    wrong: list[str] = field(default_factory=list)


def calls(count: int, seed: int = 1) -> list[Call]:
    """Return calls of every kind, the same each time."""
    made = random.Random(seed)
    kinds = (single, one_after_another, taking_turns, batch, names, stream, cut_stream, refused)
    return [kinds[number % len(kinds)](made) for number in range(count)]


def find_labels(made: random.Random, most: int) -> list[int]:
    return [made.randrange(10) for _ in range(made.randint(1, most))]


def origin(made: random.Random) -> dict[str, int]:
    """Return a seed and a start, of all sizes."""
    seed = made.choice([0, 1, made.getrandbits(32), made.getrandbits(64), 2**64 - 1])
    start = made.choice([0, made.randrange(100), made.getrandbits(40), 2**63 - 10_000])
    return {"seed": seed, "start": start}


def single(made: random.Random) -> Call:
    label, where = made.randrange(10), origin(made)
    return Call("single image", lambda generator: [generator.generate(label, **where)], 1)


def one_after_another(made: random.Random) -> Call:
    """Image after image of a seed: their noise is made ahead."""
    labels, where = find_labels(made, 80), origin(made)

    def draw(generator: ImageGenerator) -> list[Any]:
        seed, start = where["seed"], where["start"]
        return [
            generator.generate([label], seed=seed, start=start + index)
            for index, label in enumerate(labels)
        ]

    return Call("one after another", draw, len(labels))


def taking_turns(made: random.Random) -> Call:
    """Two seeds, image by image."""
    labels, seeds = find_labels(made, 40), [origin(made)["seed"] for _ in range(2)]

    def draw(generator: ImageGenerator) -> list[Any]:
        return [
            generator.generate(label, seed=seed, start=index)
            for index, label in enumerate(labels)
            for seed in seeds
        ]

    return Call("two seeds in turns", draw, 2 * len(labels))


def batch(made: random.Random) -> Call:
    labels, where = find_labels(made, made.choice([2, 64, LARGEST_BATCH + 100])), origin(made)
    return Call("batch", lambda generator: [generator.generate(labels, **where)], len(labels))


def names(made: random.Random) -> Call:
    words, where = [str(label) for label in find_labels(made, 50)], origin(made)
    return Call("class names", lambda generator: [generator.generate(words, **where)], len(words))


def stream(made: random.Random) -> Call:
    labels, where = find_labels(made, 12), origin(made)
    count, size = made.randint(1, 700), made.choice([1, 7, 64, LARGEST_BATCH])

    def draw(generator: ImageGenerator) -> list[Any]:
        batches = generator.stream(labels, count=count, batch_size=size, **where)
        return [each.images for each in batches]

    return Call("stream", draw, count)


def cut_stream(made: random.Random) -> Call:
    """A stream of which the first batch alone is taken."""
    labels, where = find_labels(made, 12), origin(made)

    def draw(generator: ImageGenerator) -> list[Any]:
        return [next(generator.stream(labels, count=9_999, batch_size=33, **where)).images]

    return Call("stream that is left", draw, 33)


def refused(made: random.Random) -> Call:
    labels, where = [*find_labels(made, 9), 10], origin(made)
    return Call("refused", lambda generator: [generator.generate(labels, **where)], 0)


def answer(call: Call, generator: ImageGenerator) -> bytes:
    """Return the images' bytes, or the error in words."""
    try:
        return b"".join(images.tobytes() for images in call.draw(generator))
    except CganError as error:
        return repr(error).encode()


def hammer(threads: int, seconds: float) -> dict[str, Any]:
    """Let threads draw with one generator; return what came of it."""
    asked = calls(CALLS)
    with ImageGenerator(provider="cpu", threads=1) as peaceful:
        right = [answer(call, peaceful) for call in asked]
    loads = [Load() for _ in range(threads)]
    now = time.monotonic()
    until, heard = now + seconds, [now] * threads

    def work(number: int) -> None:
        made, mine = random.Random(number), loads[number]
        try:
            while time.monotonic() < until and not mine.wrong:
                chosen = made.randrange(len(asked))
                call, began = asked[chosen], time.monotonic()
                if answer(call, generator) != right[chosen]:
                    mine.wrong.append(f"{call.kind}, call {chosen}, drew something else")
                heard[number] = time.monotonic()
                mine.calls[call.kind] += 1
                mine.images += call.images
                mine.longest = max(mine.longest, heard[number] - began)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is to be told
            mine.wrong.append(f"{type(error).__name__}: {error}")

    with ImageGenerator(provider="cpu") as generator:
        workers = [Thread(target=work, args=(each,), daemon=True) for each in range(threads)]
        for worker in workers:
            worker.start()
        warm, most = 0.0, 0.0
        while any(worker.is_alive() for worker in workers):
            time.sleep(0.05)
            most = max(most, memory())
            if not warm and time.monotonic() > now + WARM * seconds:
                warm = memory()
            stuck = [each for each in range(threads) if workers[each].is_alive()]
            if stuck and time.monotonic() - min(heard[each] for each in stuck) > PATIENCE:
                faulthandler.dump_traceback(all_threads=True)
                print(f"WRONG: a call takes more than {PATIENCE} seconds", file=sys.stderr)
                os._exit(1)
        end = memory()
    wrong = [line for load in loads for line in load.wrong]
    if end - warm > MOST_GROWTH:
        wrong.append(f"memory grew from {warm:.0f} MB to {end:.0f} MB")
    return {
        "threads": threads,
        "seconds": round(seconds, 1),
        "calls": dict(sum((load.calls for load in loads), Counter())),
        "images": sum(load.images for load in loads),
        "longest_call_seconds": round(max(load.longest for load in loads), 2),
        "megabytes": {"warm": round(warm, 1), "most": round(most, 1), "end": round(end, 1)},
        "wrong": wrong,
    }


def memory() -> float:
    """Return the process's resident megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MEGABYTE


def commands_at_once(count: int) -> dict[str, Any]:
    """Start commands together, each with a seed of its own, and wait for all of them."""
    started = []
    for seed in range(count):
        line = ["--digits", "31", "--count", "5", "--seed", str(seed), *PIPED]
        started.append(
            subprocess.Popen([SCRIPT, *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        )
    wrong = []
    with ImageGenerator(provider="cpu", threads=1) as peaceful:
        for seed, process in enumerate(started):
            out, said = process.communicate(timeout=600)
            drawn = np.load(io.BytesIO(out)) if process.returncode == 0 else None
            if said or drawn is None:
                wrong.append(f"seed {seed} ended with {process.returncode}: {said[-300:]!r}")
            elif drawn.tobytes() != peaceful.generate([3, 1] * 5, seed=seed).tobytes():
                wrong.append(f"seed {seed} drew something else")
    return {"commands": count, "wrong": wrong}


def in_little_memory(megabytes: int, *arguments: str) -> tuple[str, str]:
    """Run a command in so many megabytes of address space.

    Returns:
        "drawn", "refused" or "wrong", and what it said.
    """

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * MEGABYTE,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        done = subprocess.run(
            [SCRIPT, *arguments],
            cwd=folder,
            preexec_fn=limited,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=300,
        )
        left = [*Path(folder).iterdir()]
    said = done.stderr.decode(errors="replace")
    if done.returncode == 0 and not said and not left:
        with ImageGenerator(provider="cpu", threads=1) as peaceful:
            labels = [2, 0, 2, 6] * (len(np.load(io.BytesIO(done.stdout))) // 4)
            right = peaceful.generate(labels, seed=7).tobytes()
        return ("drawn" if done.stdout.endswith(right) else "wrong"), said
    plain = said.startswith("error: ") and said.count("\n") == 1 and not done.stdout
    if done.returncode == 1 and plain and not left:
        return "refused", said
    return "wrong", f"{done.returncode}: {said[-500:]!r}, leaves {left}"


def main() -> None:
    """Load, and tell what came of it."""
    parser = argparse.ArgumentParser(description="Draw under load, and check every answer.")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the threads")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--commands", type=int, default=64, help="that are started at once")
    parser.add_argument("--every", type=int, default=32, help="megabytes from limit to limit")
    parser.add_argument("--summary", type=Path, help="write the counts to this file as JSON too")
    options = parser.parse_args()
    megabytes = range(LEAST, MOST + 1, options.every)
    limits = {each: in_little_memory(each, *DRAWING) for each in megabytes}
    summary = {
        "one generator": hammer(options.threads, options.minutes * 60),
        "at once": commands_at_once(options.commands),
        "megabytes of address space": {
            **{str(each): outcome for each, (outcome, _) in limits.items()},
            "wrong": [
                f"{each} MB: {said}"
                for each, (outcome, said) in limits.items()
                if outcome == "wrong"
            ],
        },
    }
    text = json.dumps(summary, indent=2)
    print(text)
    if options.summary is not None:
        options.summary.parent.mkdir(parents=True, exist_ok=True)
        options.summary.write_text(f"{text}\n")
    wrong = [line for part in summary.values() for line in part["wrong"]]
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
