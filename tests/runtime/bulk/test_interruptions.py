"""Signals, killed workers and the memory use of cgan-bulk."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import bulk_jobs as jobs
import pytest
from bulk_jobs import START_BULK, Start
from cli_runs import names_in
from pyarrow import parquet
from terminals import run_on_terminal

from cgan_runtime.generator import ImageGenerator

ENDLESS = 4_000_000  # images; the tests stop the job


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_signal_leaves_only_complete_shards(
    start: Start, tmp_path: Path, number: int, code: int
) -> None:
    process = start("--workers", 2, "--count", ENDLESS // 10)
    jobs.wait_for(lambda: len(jobs.shards_in(tmp_path / "digits")) >= 2, process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=jobs.PATIENCE)
    assert (process.returncode, stdout) == (code, "")
    assert stderr == (
        "error: stopped, but digits keeps its complete shards; run the same command again to "
        "generate the others\n"
    )
    shards = jobs.shards_in(tmp_path / "digits")
    assert names_in(tmp_path / "digits" / "shards") == [path.name for path in shards]
    for path in shards:
        assert parquet.read_metadata(path).num_rows == jobs.LONG_SHARD_SIZE


def test_ctrl_c_on_a_terminal_prints_one_error(tmp_path: Path) -> None:
    """The terminal sends the signal to the workers too."""
    options = ["--count", str(ENDLESS // 10), "--shard-images", "10240", "--workers", "2"]

    def press_ctrl_c(terminal: int) -> None:
        jobs.wait_for(lambda: len(jobs.shards_in(tmp_path / "digits")) >= 2, None)
        os.write(terminal, b"\x03")

    words = [*jobs.BULK_PROCESS, *options, "--output", "digits"]
    code, text = run_on_terminal(words, press_ctrl_c, cwd=tmp_path)
    assert code == 130
    assert b"generating  [" in text
    assert text.endswith(b"run the same command again to generate the others\r\n")
    assert text.count(b"error: ") == 1
    assert b"Traceback" not in text


def test_shards_of_a_killed_worker_are_generated_again(
    start: Start, tmp_path: Path, shipped: ImageGenerator
) -> None:
    folder = tmp_path / "digits"
    process = start("--workers", 2)
    jobs.wait_for(lambda: jobs.workers_of(process.pid), process)
    os.kill(jobs.workers_of(process.pid)[0], signal.SIGKILL)  # before its first shard is complete
    stdout, stderr = process.communicate(timeout=jobs.PATIENCE)
    assert (process.returncode, stderr) == (0, jobs.KILLED_NOTE)
    assert stdout == f"digits  seed 7  {jobs.LONG_COUNT:,} images in {jobs.LONG_SHARDS} shards\n"
    jobs.check_shards(folder, shipped, range(10), 0, jobs.LONG_COUNT)


def test_own_cluster_is_private_replaces_a_killed_worker_and_ends_with_the_command(
    start: Start, tmp_path: Path
) -> None:
    """The cluster listens on the loopback interface only, and requires a token."""
    process = start("--engine", "ray", "--workers", 1, "--count", ENDLESS // 10)
    jobs.wait_for(lambda: jobs.shards_in(tmp_path / "digits"), process)
    pids = jobs.workers_of(process.pid, "")
    addresses = {address.rpartition(":")[0] for address in jobs.listening_addresses(pids)}
    assert "0000000000000000FFFF00000100007F" in addresses
    assert addresses <= {"0000000000000000FFFF00000100007F", "0100007F"}
    (server,) = jobs.workers_of(process.pid, "gcs_server")
    environment = Path(f"/proc/{server}/environ").read_bytes().split(b"\0")
    assert b"RAY_AUTH_MODE=token" in environment
    assert any(line.startswith(b"RAY_AUTH_TOKEN=") for line in environment)

    (worker,) = jobs.workers_of(process.pid, "ray::Worker")
    os.kill(worker, signal.SIGKILL)
    assert process.stderr
    assert process.stderr.readline() == jobs.KILLED_NOTE
    done = len(jobs.shards_in(tmp_path / "digits"))
    jobs.wait_for(lambda: len(jobs.shards_in(tmp_path / "digits")) > done, process)

    pids += jobs.workers_of(process.pid, "")
    process.terminate()
    assert "error: stopped, but digits keeps" in process.communicate(timeout=jobs.PATIENCE)[1]
    assert process.returncode == 143
    jobs.wait_for(lambda: not any(map(jobs.is_alive, pids)), None)


@pytest.mark.parametrize(
    ("engine", "number"),
    [("local", signal.SIGINT), ("local", signal.SIGTERM), ("ray", signal.SIGINT)],
)
def test_signal_while_workers_start_leaves_no_process(
    start: Start, tmp_path: Path, engine: str, number: signal.Signals
) -> None:
    process = start("--engine", engine, "--workers", 3, "--count", ENDLESS // 10)
    jobs.wait_for(lambda: jobs.workers_of(process.pid), process)
    pids = jobs.workers_of(process.pid, "")
    process.send_signal(number)
    stderr = process.communicate(timeout=jobs.PATIENCE)[1]
    assert process.returncode == 128 + number
    assert stderr.startswith("error: stopped, but digits keeps its complete shards")
    assert stderr.count("\n") == 1
    jobs.wait_for(lambda: not any(map(jobs.is_alive, pids)), None)
    assert not [*(tmp_path / "digits" / "shards").glob(".*")]


def test_run_ends_if_workers_are_always_killed(start: Start) -> None:
    process = start("--workers", 1, "--count", ENDLESS // 10, "--shard-images", ENDLESS)

    def kill_workers_until_the_end() -> bool:
        for pid in jobs.workers_of(process.pid):
            os.kill(pid, signal.SIGKILL)
        return process.poll() is not None

    jobs.wait_for(kill_workers_until_the_end, None)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (1, "")
    assert stderr == 2 * jobs.KILLED_NOTE + (
        f"error: the workers of images 0 to {ENDLESS - 1} were killed 3 times; if memory is short, "
        "use fewer --workers, then run the command again\n"
    )


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    print_peak = "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    code = f"import atexit, resource; atexit.register(lambda: {print_peak}); {START_BULK}"
    peaks = []
    for count in (20_000, 100_000):  # the larger shard has 78 MB of pixels
        shards = ["--shard-images", str(count), "--output", str(count)]
        words = ["--count", str(count // 10), *shards, "--workers", "1"]
        command = [sys.executable, "-c", code, *words]
        output = subprocess.check_output(command, cwd=tmp_path, text=True)
        peaks.append(int(output.splitlines()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 40, peaks  # MB; three row groups
