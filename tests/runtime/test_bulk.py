"""cgan-bulk: real commands, real processes, a real Ray cluster, real signals."""

import json
import os
import pty
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from pyarrow import parquet

from cgan_runtime import __version__
from cgan_runtime.bulk import on_ray, run
from cgan_runtime.bulk.job import Job, opened, read_job
from cgan_runtime.bulk.on_ray import MOST_BEGUN, ShardDrawer
from cgan_runtime.bulk_cli import SHARD_IMAGES, command
from cgan_runtime.errors import OutputError
from cgan_runtime.generator import LARGEST_BATCH, SHIPPED_MODEL, DigitGenerator

START_BULK = [sys.executable, "-c", "from cgan_runtime.bulk_cli import main; main()"]
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


@pytest.fixture
def bulk(tmp_path: Path) -> Bulk:
    """Run the command with the model that ships: bulk("--count", 9, "--output", "digits")."""

    def run_it(*arguments: object, **extra: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*START_BULK, *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | home(tmp_path) | extra,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run_it


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the command on a job that takes a while, of small shards, into the folder digits."""
    started = []

    def start_it(*arguments: object) -> "subprocess.Popen[str]":
        options = ["--count", MANY, "--seed", SEED, "--shard-images", IMAGES]
        process = subprocess.Popen(
            [*START_BULK, *map(str, (*options, "--output", "digits", *arguments))],
            cwd=tmp_path,
            env=os.environ
            | OWN_CLUSTER
            | {"HOME": str(tmp_path.parent)},  # Ray keeps a token there
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start_it
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command in this process."""
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: object) -> Result:
        return CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=True)

    return run_it


@pytest.fixture(scope="module")
def shipped() -> DigitGenerator:
    """The model that ships: int8, the same bytes in every batch."""
    return DigitGenerator(provider="cpu", threads=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the whole of SAME_JOB. Not to be written to."""
    folder = tmp_path_factory.mktemp("finished") / "digits"
    options = [*SAME_JOB, "--seed", str(SEED), "--output", str(folder)]
    assert CliRunner().invoke(command, options).exit_code == 0
    return folder


def of_one_process(
    generator: DigitGenerator, labels: tuple[int, ...], seed: int, start: int, count: int
) -> tuple[Pixels, list[int]]:
    """Return the images and labels that one process streams."""
    batches = list(generator.stream(labels, seed=seed, start=start, count=count))
    images = np.concatenate([batch.images for batch in batches])
    return images, [label for batch in batches for label in batch.labels.tolist()]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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


# What is drawn.


def test_parquet_is_what_one_process_draws_whatever_the_workers(
    bulk: Bulk, tmp_path: Path, shipped: DigitGenerator
) -> None:
    for workers in (1, 2, 3):
        done = bulk(*SAME_JOB, "--seed", SEED, "--workers", workers, "--output", workers)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{workers}  seed 7  5,000 images in 6 shards\n"
        assert names_in(tmp_path / str(workers)) == [".lock", "job.json", "model.onnx", "shards"]
        assert names_in(tmp_path / str(workers) / "shards") == [
            f"{START + shard * SHARD:012}.parquet" for shard in range(6)
        ]
    wanted, labels = of_one_process(shipped, LABELS, SEED, START, COUNT)
    found = read_parquet(tmp_path / "1")
    np.testing.assert_array_equal(found[0], wanted)
    assert found[1:] == (labels, {SEED}, list(range(START, START + COUNT)))
    for one, two, three in zip(*(shards_in(tmp_path / name) for name in "123"), strict=True):
        assert one.read_bytes() == two.read_bytes() == three.read_bytes()


def test_idx_is_what_one_process_draws_whatever_the_workers(
    bulk: Bulk, tmp_path: Path, shipped: DigitGenerator
) -> None:
    for workers in (1, 2):
        options = ("--seed", SEED, "--workers", workers, "--format", "idx", "--output", workers)
        done = bulk(*SAME_JOB, *options)
        assert (done.returncode, done.stderr) == (0, "")
        assert names_in(tmp_path / str(workers) / "shards") == sorted(
            f"{START + shard * SHARD:012}-{kind}-ubyte"
            for shard, kind in product(range(6), ("images-idx3", "labels-idx1"))
        )
        wanted, labels = of_one_process(shipped, LABELS, SEED, START, COUNT)
        images, found = read_idx(tmp_path / str(workers))
        np.testing.assert_array_equal(images, wanted)
        assert found == labels


def test_a_float_model_draws_the_same_bytes_too(
    bulk: Bulk, tmp_path: Path, tiny_model: Path
) -> None:
    """A shard is whole batches, so each image is drawn beside the same others."""
    assert SHARD_IMAGES % LARGEST_BATCH == 0
    generator = DigitGenerator(tiny_model, "cpu", threads=1)
    wanted, _ = of_one_process(generator, tuple(range(10)), 3, 0, 5000)
    options = ("--count", 5000, "--seed", 3, "--format", "idx", "--shard-images", LARGEST_BATCH)
    assert bulk(*options, "--model", tiny_model, "--output", "tiny").returncode == 0
    files = sorted((tmp_path / "tiny" / "shards").glob("*images*"))
    assert b"".join(path.read_bytes()[16:] for path in files) == wanted.tobytes()


def test_a_parquet_file_says_what_it_holds(
    bulk: Bulk, tmp_path: Path, shipped: DigitGenerator
) -> None:
    done = bulk("--count", 40_000, "--seed", 2**64 - 1, "--output", "digits")
    assert done.returncode == 0, done.stderr
    (path,) = shards_in(tmp_path / "digits")
    schema = parquet.read_schema(path)
    assert [f"{field.name}: {field.type}" for field in schema] == [
        "image: fixed_size_binary[784]",
        "label: int64",
        "seed: uint64",
        "index: int64",
    ]
    told = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    assert told == {
        "cgan.class_names": json.dumps(list("0123456789")),
        "cgan.height": "28",
        "cgan.width": "28",
        "cgan.model_sha256": shipped.model_sha256,
    }
    found = parquet.read_metadata(path)
    groups = [found.row_group(group).num_rows for group in range(found.num_row_groups)]
    assert groups == [16 * LARGEST_BATCH, 16 * LARGEST_BATCH, 40_000 - 32 * LARGEST_BATCH]
    assert set(parquet.read_table(path)["seed"].to_pylist()) == {2**64 - 1}
    rows = next(parquet.ParquetFile(path).iter_batches(5))
    images = np.frombuffer(rows["image"].buffers()[1], np.uint8).reshape(-1, 1, 28, 28)
    np.testing.assert_array_equal(images, shipped.generate([0, 1, 2, 3, 4], seed=2**64 - 1))


def test_the_last_indices_there_are(bulk: Bulk, tmp_path: Path) -> None:
    done = bulk("--count", 3, "--start", 2**63 - 3, "--seed", 1, "--output", "digits")
    assert done.returncode == 0, done.stderr
    assert read_parquet(tmp_path / "digits")[3] == [2**63 - 3, 2**63 - 2, 2**63 - 1]


def test_the_folder_says_what_it_holds(finished: Path) -> None:
    told = json.loads((finished / "job.json").read_text())
    assert told["version"] == 1
    assert told["written_by"] == f"cgan-runtime {__version__}"
    assert (told["seed"], told["start"], told["count"]) == (SEED, START, COUNT)
    assert (told["labels"], told["shard_images"]) == ([3, 8, 1], SHARD)
    assert (finished / "model.onnx").read_bytes() == SHIPPED_MODEL.read_bytes()


# A second run.


def test_shards_that_are_whole_are_kept_and_broken_ones_drawn(
    call: Callable[..., Result], tmp_path: Path, finished: Path
) -> None:
    folder = tmp_path / "digits"
    shutil.copytree(finished, folder)
    shards = shards_in(folder)
    contents = {path: path.read_bytes() for path in shards}
    shards[1].unlink()
    shards[3].write_bytes(contents[shards[3]][:-100])
    shards[4].write_bytes(b"")
    before = {path: path.stat().st_ino for path in shards if path.exists()}
    done = call(*SAME_JOB, "--output", "digits")  # the seed is the folder's
    assert done.stdout == "digits  seed 7  5,000 images in 6 shards, 3 of them kept\n"
    assert {path: path.read_bytes() for path in shards_in(folder)} == contents
    kept = [path for path in shards if before.get(path) == path.stat().st_ino]
    assert kept == [shards[0], shards[2], shards[5]]
    done = call(*SAME_JOB, "--output", "digits")
    assert done.stdout == "digits  seed 7  5,000 images in 6 shards, 6 of them kept\n"


def test_a_pair_of_idx_files_is_whole_or_drawn_again(bulk: Bulk, tmp_path: Path) -> None:
    options = (*SAME_JOB, "--seed", SEED, "--format", "idx", "--output", "digits")
    assert bulk(*options).returncode == 0
    shards = shards_in(tmp_path / "digits")
    contents = {path: path.read_bytes() for path in shards}
    shards[0].unlink()  # images
    shards[3].unlink()  # labels
    shards[4].write_bytes(contents[shards[4]][:-1])
    assert bulk(*options).stdout.endswith(" 6 shards, 3 of them kept\n")
    assert {path: path.read_bytes() for path in shards_in(tmp_path / "digits")} == contents


def test_a_killed_run_leaves_whole_shards_and_the_next_goes_on(
    start: Start, bulk: Bulk, tmp_path: Path, shipped: DigitGenerator
) -> None:
    folder = tmp_path / "digits"
    process = start("--workers", 2, "--count", SHARDS * IMAGES)
    wait_for(lambda: len(workers_of(process.pid)) == 2, process)
    workers = workers_of(process.pid)
    wait_for(lambda: len(shards_in(folder)) >= 3, process)
    process.kill()
    process.communicate()
    until = time.monotonic() + 20
    while any(map(is_alive, workers)):  # nobody waits for them any more
        assert time.monotonic() < until
        time.sleep(0.05)
    before = {path: path.stat().st_ino for path in shards_in(folder)}
    assert 3 <= len(before) < SHARDS
    for path in before:
        assert parquet.read_metadata(path).num_rows == IMAGES
    done = bulk(
        *("--count", SHARDS * IMAGES, "--shard-images", IMAGES, "--output", "digits")
    )  # the seed is the folder's
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f" images in {SHARDS} shards, {len(before)} of them kept\n")
    assert names_in(folder / "shards") == [path.name for path in shards_in(folder)]
    assert {path: path.stat().st_ino for path in before} == before
    found = read_parquet(folder)
    wanted, labels = of_one_process(shipped, tuple(range(10)), SEED, 0, SHARDS * IMAGES)
    np.testing.assert_array_equal(found[0], wanted)
    assert found[1:] == (labels, {SEED}, list(range(SHARDS * IMAGES)))


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--seed", 8, "seed 7, not 8"),
        ("--start", 5, "start 17, not 5"),
        ("--count", 5001, "count 5000, not 5001"),
        ("--digits", "382", "labels [3, 8, 1], not [3, 8, 2]"),
        ("--format", "idx", 'format "parquet", not "idx"'),
        ("--shard-images", 1000, "shard_images 999, not 1000"),
    ],
)
def test_another_job_is_refused(
    call: Callable[..., Result], finished: Path, option: str, value: object, words: str
) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    done = call(*SAME_JOB, "--seed", SEED, "--output", finished, option, value)
    assert isinstance(done.exception, OutputError)
    assert str(done.exception) == (
        f"{finished} holds another job, with {words}; choose another folder, or give it the "
        "options it was begun with"
    )
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_another_model_is_refused(
    call: Callable[..., Result], finished: Path, tiny_model: Path
) -> None:
    done = call(*SAME_JOB, "--output", finished, "--model", tiny_model)
    assert str(done.exception).startswith(f"{finished} holds another job, with model_sha256 ")


def test_a_job_of_which_nothing_was_drawn_gives_way(
    call: Callable[..., Result], tmp_path: Path, tiny_model: Path
) -> None:
    options = ("--count", 10, "--output", "digits", "--format", "idx")
    assert call(*options, "--model", tiny_model).exit_code == 0
    for path in shards_in(tmp_path / "digits"):
        path.unlink()
    assert call(*options, "--seed", 9).exit_code == 0
    job = read_job(tmp_path / "digits")
    assert job
    assert (job.seed, job.height) == (9, 28)
    assert (tmp_path / "digits" / "model.onnx").read_bytes() == SHIPPED_MODEL.read_bytes()


@pytest.mark.parametrize("content", ["thesis.txt", "shards"])
def test_a_folder_of_other_things_is_left_alone(
    call: Callable[..., Result], tmp_path: Path, content: str
) -> None:
    hidden = tmp_path / f".{'0' * 16}.part"  # as our own would be named
    for path in (tmp_path / content, hidden):
        path.write_text("years of work")
    done = call("--count", 10, "--output", tmp_path)
    assert str(done.exception) == (
        f"{tmp_path} is neither empty nor of cgan-bulk; choose another folder"
    )
    assert names_in(tmp_path) == [hidden.name, content]


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"version": "x"}', "\udcff"])
def test_a_damaged_job(call: Callable[..., Result], tmp_path: Path, content: str) -> None:
    (tmp_path / "job.json").write_bytes(content.encode(errors="surrogateescape"))
    done = call("--count", 10, "--output", tmp_path)
    assert str(done.exception) == f"{tmp_path / 'job.json'} is damaged; choose another folder"


def test_a_job_of_a_newer_release(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"version": 2}')
    done = call("--count", 10, "--output", tmp_path)
    assert str(done.exception) == (
        f"{tmp_path / 'job.json'} is of a newer cgan-bulk; upgrade cgan-runtime"
    )


def test_two_runs_in_one_folder(bulk: Bulk, tmp_path: Path, finished: Path) -> None:
    shutil.copytree(finished, tmp_path / "digits")
    job = read_job(finished)
    assert job
    half = tmp_path / "digits" / "shards" / f".{'0' * 16}.part"
    with opened(tmp_path / "digits", job, SHIPPED_MODEL):
        half.write_text("half")
        done = bulk(*SAME_JOB, "--output", "digits")
        assert half.exists()
    assert done.returncode == 1
    assert the_error(done) == (
        "error: another cgan-bulk is at work in digits; wait for it, or choose another folder"
    )
    assert not half.exists()


# Accidents.


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
    start: Start, tmp_path: Path, shipped: DigitGenerator, engine: str
) -> None:
    count, folder = SHARDS * IMAGES, tmp_path / "digits"
    process = start("--engine", engine, "--workers", 2, "--count", count)
    word = "ShardDrawer" if engine == "ray" else "spawn_main"
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
            "from cgan_runtime.bulk_cli import main\n"
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


# Ray.


def test_a_worker_on_ray_says_what_is_wrong(
    call: Callable[..., Result],
    tmp_path: Path,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Its error is the command's, with neither Ray's words nor a traceback around it."""
    monkeypatch.setattr(on_ray, "AT_ONCE", 3)  # shards that Ray is told of together
    for name, value in (OWN_CLUSTER | home(tmp_path)).items():
        monkeypatch.setenv(name, value)
    shutil.copytree(finished, tmp_path / "digits")
    shards = shards_in(tmp_path / "digits")
    for path in shards[:5]:
        path.unlink()
    shards[4].mkdir()
    done = call(*SAME_JOB, "--output", "digits", "--engine", "ray", "--workers", 1)
    assert isinstance(done.exception, OutputError)
    assert str(done.exception) == f"{shards[4]} is no ordinary file; choose another place"
    assert capfd.readouterr() == ("", "")
    for drawn, wanted in zip(shards[:3], shards_in(finished), strict=False):
        assert drawn.read_bytes() == wanted.read_bytes()


def test_a_job_that_is_done_needs_no_cluster(bulk: Bulk, tmp_path: Path, finished: Path) -> None:
    shutil.copytree(finished, tmp_path / "digits")
    nowhere = {"RAY_ADDRESS": "127.0.0.1:1"}
    done = bulk(*SAME_JOB, "--output", "digits", "--engine", "ray", **nowhere)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("6 of them kept\n")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_a_cluster_that_cannot_be_reached(bulk: Bulk, address: str) -> None:
    options = ("--count", 5, "--output", "digits", "--engine", "ray")
    done = bulk(*options, RAY_ADDRESS=address)
    assert done.returncode == 1
    assert the_error(done).startswith("error: Ray cannot be reached or started: ")
    assert the_error(done).endswith("; look at RAY_ADDRESS and at `ray status`")


def test_a_shard_that_kills_its_workers_is_given_up(finished: Path, tmp_path: Path) -> None:
    """Ray would begin it for ever; the notes that a worker leaves behind when it dies say so."""
    shutil.copytree(finished, tmp_path / "digits")
    place = shards_in(tmp_path / "digits")[2]
    place.unlink()
    job = read_job(finished)
    assert job
    draw = ShardDrawer(tmp_path / "digits", job, "cpu", "run")
    notes = tmp_path / "digits" / "shards" / ".run.2"
    notes.write_bytes(b"x" * MOST_BEGUN)
    row = draw({"number": np.array([2])})
    assert (row["number"], row["kind"]) == ([2], ["WorkerError"])
    assert row["error"][0] == (
        "3 workers died drawing images 2015 to 3013; if memory is short, take fewer --workers, "
        "and run it again"
    )
    assert not place.exists()
    notes.write_bytes(b"x")
    assert draw({"number": np.array([2])})["begun"] == [2]
    assert place.read_bytes() == shards_in(finished)[2].read_bytes()
    assert not notes.exists()


def test_a_worker_that_does_not_see_the_folder(finished: Path, tmp_path: Path) -> None:
    job = read_job(finished)
    assert job
    row = ShardDrawer(tmp_path / "digits", job, "cpu", "run")({"number": np.array([0])})
    assert row["kind"] == ["OutputError"]
    assert row["error"][0] == (
        f"a worker does not see this job's {tmp_path / 'digits' / 'job.json'}; --output must be a "
        "folder that all machines share, at the same path"
    )


def test_a_worker_that_sees_another_model(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "digits")
    shards_in(tmp_path / "digits")[0].unlink()
    content = SHIPPED_MODEL.read_bytes().replace(b"cgan.dataset", b"cgan_dataset")
    assert len(content) == SHIPPED_MODEL.stat().st_size
    (tmp_path / "digits" / "model.onnx").write_bytes(content)
    job = read_job(finished)
    assert job
    row = ShardDrawer(tmp_path / "digits", job, "cpu", "run")({"number": np.array([0])})
    assert row["kind"] == ["ModelError"]


# What is asked for.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "x"], "Missing option '--count'"),
        (["--count", 5], "Missing option '--output'"),
        (["--count", 0, "--output", "x"], "0 is not in the range"),
        (["--count", 5, "--output", "x", "--workers", 0], "0 is not in the range"),
        (["--count", 5, "--output", "x", "--format", "png"], "'png' is not one of"),
        (["--count", 5, "--output", "x", "--engine", "spark"], "'spark' is not one of"),
        (
            ["--count", 5, "--output", "x", "--digit", 1, "--label", "2"],
            "--digit and --label exclude each other; give one of them",
        ),
        (
            ["--count", 5, "--output", "x", "--digits", "12", "--digit", 1],
            "--digit and --digits exclude each other; give one of them",
        ),
    ],
)
def test_wrong_usage(bulk: Bulk, tmp_path: Path, arguments: list[object], words: str) -> None:
    done = bulk(*arguments)
    assert done.returncode == 2
    assert words in the_error(done)
    assert not names_in(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label", "Bag"], "the model has no class 'Bag'; choose from '0', '1'"),
        (["--model", "none.onnx"], "there is no model none.onnx"),
        (["--provider", "abacus"], "no provider 'abacus' here"),
        (["--start", 2**63 - 4], "are out of range"),
        (["--output", "file/below"], "cannot read file/below/job.json: Not a directory"),
    ],
)
def test_what_cannot_be_drawn(
    bulk: Bulk, tmp_path: Path, arguments: list[object], words: str
) -> None:
    (tmp_path / "file").touch()
    done = bulk("--count", 5, "--output", "digits", *arguments)
    assert done.returncode == 1
    assert words in the_error(done)
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("module", "option", "words"),
    [
        ("pyarrow", "local", "Parquet needs pyarrow; pip install 'cgan-runtime[parquet]', or use"),
        ("ray", "ray", "--engine ray needs Ray; pip install 'cgan-runtime[ray]'"),
    ],
)
def test_an_extra_that_is_not_installed(
    call: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    option: str,
    words: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    done = call("--count", 5, "--output", "digits", "--engine", option)
    assert str(done.exception).startswith(words)
    assert not names_in(tmp_path)


def test_idx_without_pyarrow_or_ray(bulk: Bulk, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = sys.modules['ray'] = None\n"
        "from cgan_runtime.bulk_cli import main\n"
        "main()"
    )
    options = ["--count", "100", "--format", "idx", "--output", "digits"]
    subprocess.run([sys.executable, "-c", code, *options], cwd=tmp_path, check=True)
    assert len(read_idx(tmp_path / "digits")[1]) == 100


def test_too_many_classes_for_idx(
    call: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job("0" * 64, 1, 0, 5, (1,), tuple(map(str, range(257))), 28, 28, "idx", 5)
    monkeypatch.setattr(run, "job_of", lambda _: (SHIPPED_MODEL, job))
    done = call("--count", 5, "--format", "idx", "--output", "digits")
    assert str(done.exception) == (
        "IDX files hold at most 256 classes, not 257; use --format parquet"
    )


@pytest.mark.uncovered
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_command_imports_nothing_heavy(option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *START_BULK[1:], option],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert "cgan_runtime" in loaded
    assert not loaded & {"numpy", "onnxruntime", "pyarrow", "ray", "multiprocessing"}
