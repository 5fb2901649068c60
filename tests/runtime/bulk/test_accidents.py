"""Signals, killed workers, a full disk."""

import os
import pty
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bulk_jobs import (
    IMAGES,
    MANY,
    SEED,
    SHARDS,
    START_BULK,
    TOLD,
    Start,
    of_one_process,
    read_parquet,
    shards_in,
    the_error,
    wait_for,
    workers_of,
)
from folders import names_in
from pyarrow import parquet

from cgan_runtime.generator import ImageGenerator


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_ends_it_with_whole_shards_alone(
    start: Start, tmp_path: Path, number: int, code: int
) -> None:
    process = start("--workers", 2)
    wait_for(lambda: len(shards_in(tmp_path / "digits")) >= 2, process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (code, "")
    assert stderr == (
        "error: stopped; the shards in digits are whole, the same command draws the rest\n"
    )
    shards = shards_in(tmp_path / "digits")
    assert names_in(tmp_path / "digits" / "shards") == [path.name for path in shards]
    for path in shards:
        assert parquet.read_metadata(path).num_rows == IMAGES


def test_ctrl_c_on_a_terminal(tmp_path: Path) -> None:
    """It goes to every process of the terminal's; one alone speaks."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(tmp_path)
        options = ["--count", str(MANY), "--shard-images", "10240", "--workers", "2"]
        os.execv(sys.executable, [*START_BULK, *options, "--output", "digits"])
    said, pressed = b"", False
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if not pressed and len(shards_in(tmp_path / "digits")) >= 2:
            os.write(terminal, b"\x03")
            pressed = True
        try:
            if select.select([terminal], [], [], 0.02)[0]:
                said += os.read(terminal, 65536)
        except OSError:  # it has ended
            break
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130
    assert b"drawing  [" in said
    *_, last = said.decode().split()
    assert last == "rest"
    assert said.count(b"error: ") == 1
    assert b"Traceback" not in said


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_killed_worker_is_told_and_its_shards_drawn_again(
    start: Start, tmp_path: Path, shipped: ImageGenerator, engine: str
) -> None:
    count, folder = SHARDS * IMAGES, tmp_path / "digits"
    process = start("--engine", engine, "--workers", 2, "--count", count)
    word = "ShardActor" if engine == "ray" else "spawn_main"
    wait_for(lambda: len(workers_of(process.pid, word)) == 2, process)
    worker, _ = workers_of(process.pid, word)
    wait_for(lambda: shards_in(folder), process)
    os.kill(worker, signal.SIGKILL)
    assert len(shards_in(folder)) < SHARDS
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    # On Ray the worker may have been between two shards.
    assert stderr == TOLD or (engine == "ray" and not stderr)
    assert stdout == f"digits  seed 7  {count:,} images in {SHARDS} shards\n"
    found = read_parquet(folder)
    wanted, labels = of_one_process(shipped, tuple(range(10)), SEED, 0, count)
    np.testing.assert_array_equal(found[0], wanted)
    assert found[1:] == (labels, {SEED}, list(range(count)))
    assert names_in(folder / "shards") == [path.name for path in shards_in(folder)]


def test_workers_that_are_always_killed_end_it(start: Start) -> None:
    process = start("--workers", 1, "--shard-images", MANY)
    until = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < until
        for pid in workers_of(process.pid):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (1, "")
    *notes, last = stderr.splitlines()
    assert notes == ["note: a worker was killed; what it was drawing is drawn again"] * 2
    assert last == (
        "error: workers were killed 3 times in a row; if memory is short, take fewer --workers, "
        "and run it again"
    )


def test_a_full_disk(tmp_path: Path) -> None:
    """The limit on a file's size stands for it."""
    options = ["--count", "60000", "--seed", "1", "--shard-images", "20480", "--format", "idx"]
    done = subprocess.run(
        [*START_BULK, *options, "--output", "digits"],
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (15_000_000,) * 2),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert the_error(done).startswith("error: cannot write digits/shards/0000000")
    names = names_in(tmp_path / "digits" / "shards")
    assert not [name for name in names if name.startswith(".")]
    assert not [name for name in names if "images" in name and not name.startswith("000000040960")]


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    peaks = []
    for count in (20_000, 160_000):  # the latter is 125 MB of pixels, all in one shard
        options = ["--count", str(count), "--shard-images", str(count), "--output", str(count)]
        code = (
            "import resource, sys\n"
            "from cgan_runtime.cli.bulk import main\n"
            "try:\n"
            "    main()\n"
            "finally:\n"
            "    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *options, "--workers", "1"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout.splitlines()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 40, peaks  # MB: three row groups
