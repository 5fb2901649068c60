"""Jobs of cgan-bulk for its tests, and functions that read their results."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
from cli_runs import names_in
from pyarrow import parquet

from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file.contract import MAX_BATCH

START_BULK = "from cgan_runtime.cli.bulk import main; main()"
BULK_PROCESS = [sys.executable, "-c", START_BULK]
EACH, SHARD_SIZE, START, SEED, LABELS = 1667, 999, 17, 7, (3, 8, 1)
COUNT = EACH * len(LABELS)
JOB = f"--count {EACH} --shard-images {SHARD_SIZE} --start {START} --workers 1".split()
JOB += ["--digits", "381"]
# A longer job, which tests interrupt.
LONG_SHARDS, LONG_SHARD_SIZE = 15, 4 * MAX_BATCH
LONG_COUNT = LONG_SHARDS * LONG_SHARD_SIZE
LONG_JOB = f"--count {LONG_COUNT // 10} --shard-images {LONG_SHARD_SIZE} --output digits".split()
# Ray would kill workers when other processes on the machine use its memory.
OWN_CLUSTER = {"RAY_ADDRESS": "local", "RAY_memory_monitor_refresh_ms": "0"}
KILLED_NOTE = "note: a worker was killed; generating its shard again\n"
PATIENCE = 300  # seconds; the machine may be busy
Bulk = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


def invalid_note(first: int, last: int) -> str:
    return (
        f"note: the shard with images {first} to {last} is damaged, incomplete or from another "
        "job; generating it again\n"
    )


def shards_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("shards/[0-9]*"))


def check_shards(
    folder: Path, generator: ImageGenerator, labels: Sequence[int], start: int, count: int
) -> None:
    """Check that the shards hold exactly the images that one process generates with SEED."""
    expected_labels = [labels[number % len(labels)] for number in range(count)]
    expected = generator.generate(expected_labels, seed=SEED, start=start).tobytes()
    shards = shards_in(folder)
    assert names_in(folder / "shards") == [path.name for path in shards]  # no temporary files
    if shards[0].suffix == ".parquet":
        table = pa.concat_tables(parquet.read_table(path) for path in shards)
        assert b"".join(table["image"].to_pylist()) == expected
        assert table["label"].to_pylist() == expected_labels
        assert table["seed"].unique().to_pylist() == [SEED]
        assert table["index"].to_pylist() == list(range(start, start + count))
    else:
        assert b"".join(path.read_bytes()[16:] for path in shards[::2]) == expected
        assert b"".join(path.read_bytes()[8:] for path in shards[1::2]) == bytes(expected_labels)


def wait_for(condition: Callable[[], object], process: "subprocess.Popen[str] | None") -> None:
    """Wait until a condition holds; fail if the process ends before, or after minutes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def workers_of(pid: int, word: str = "spawn_main") -> list[int]:
    """Return the ids of a process's descendants whose command line contains a word."""
    lines = subprocess.check_output(["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], text=True)
    rows = [line.split(None, 2) for line in lines.splitlines()]
    commands: dict[int, str] = {}
    parents = {pid}
    while parents:
        children = {int(child): args for child, parent, args in rows if int(parent) in parents}
        parents = set(children) - set(commands)
        commands |= children
    return [child for child, args in commands.items() if word in args]


def listening_addresses(pids: list[int]) -> set[str]:
    """Return the local addresses, as in /proc/net/tcp, on which processes accept connections."""
    sockets = set()
    for pid in pids:
        with suppress(OSError):
            for path in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    sockets.add(path.readlink().name)
    text = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    rows = [line.split() for line in text.splitlines()]
    is_listening = "0A"
    return {row[1] for row in rows if row[3] == is_listening and f"socket:[{row[9]}]" in sockets}


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def error_of(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the one line that a failed command printed, without "error: "."""
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr[len("error: ") : -1]
