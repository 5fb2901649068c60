"""The error messages and exit codes of cgan-run."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from cli_runs import error_line
from commands import Command

from cgan_runtime.errors import ModelError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.images.writers import min_bytes

USAGE_ERRORS = [
    (["--digit", "10"], "--digit must be a whole number from 0 to 9, got '10'; write --digits 10"),
    (["--digit", "nine"], "from 0 to 9, got 'nine'; write --digit 9 (see"),
    (["--digit", "Bag"], "got 'Bag'; for a class of this name, write --label Bag (see"),
    (["--digit", "-1"], "from 0 to 9, got '-1'; see"),
    (["--digit", "9.5"], "from 0 to 9, got '9.5'; see"),
    (
        ["--digits", "20, 26"],
        "--digits must contain only 0-9, got '20, 26'; write --digits 2026 (see",
    ),
    (["--digits", "Two zero"], "got 'Two zero'; write --digits 20 (see"),
    (["9"], "cgan-run takes only options, got '9'; write --digit 9 (see"),
    (["2026"], "got '2026'; write --digits 2026 (see"),
    (["--digits", "20", "26"], "got '26'; write --digits 2026 (see"),
    (["--digit", "2", "0", "2", "6"], "got '0 2 6'; write --digits 2026 (see"),
    (["--label", "Ankle", "boot"], "for a class of this name, write --label 'Ankle boot' (see"),
    (["cat"], "got 'cat'; for a class of this name, write --label cat (see"),
    (["my model.onnx"], "got 'my model.onnx'; write --model 'my model.onnx' (see"),
    (["model.pt"], "got 'model.pt'; write --model model.pt (see"),
    (["/usr"], "got '/usr'; write --model /usr (see"),
    (["a.png"], "got 'a.png'; write --output a.png (see"),
    (["", "?", "20a6"], "got ' ? 20a6'; see"),
    (["--digits", "20a6"], "--digits must contain only 0-9, got '20a6'"),
    (["--digits", ""], "--digits must contain only 0-9, got ''"),
    (["--digits", "2²"], "--digits must contain only 0-9, got '2²'"),
    (["--label", "3", "--digit", "4"], "--digit and --label cannot be combined; give only one"),
    (["--digits", "4", "--label", "3"], "--digits and --label cannot be combined; give only one"),
    (["--count", "1.5"], "--count must be a whole number of 1 or more, got '1.5'"),
    (["--seed", str(2**64)], "--seed must be a whole number from 0 to 18446744073709551615, got"),
    (["--start", "-1"], "--start must be a whole number of 0 or more, got '-1'"),
    (["--threads", "1025"], "--threads must be a whole number from 1 to 1024, got '1025'"),
    (["--shard", "0/4"], "--shard must be I/N such as 2/4, with 1 <= I <= N, got '0/4'"),
    (["--shard", "5/4"], "got '5/4'"),
    (["--columns", "2", "--format", "npy"], "--columns applies to format png, not to npy"),
    (["--scale", "2", "--output", "x.npy"], "--scale applies to format png and pngs, not to npy"),
    (["--split", "train"], "--split applies to format idx and idx-gz, not to png; leave it out"),
    (["--format", "idx", "--output", "-"], "format idx cannot be written to stdout; set --output"),
    (["--output", "digit.jpg"], "--output must end in .png or .npy, got 'digit.jpg'; for other"),
    (["--output", ""], "--output must end in .png or .npy, got ''"),
    (["--expect-sha256", "xyz"], "--expect-sha256: 'xyz' is not a SHA-256 hash; "),
    (["--digt", "3"], "Did you mean"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), USAGE_ERRORS, ids=[" ".join(each) for each, _ in USAGE_ERRORS]
)
def test_wrong_usage_exits_with_2_and_writes_nothing(
    run: Command, folder: Path, arguments: list[str], message: str
) -> None:
    done = run(*arguments)
    line = error_line(done)
    assert message in line
    assert line.removesuffix(")").endswith("see cgan-run --help")
    assert done.returncode == 2
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("none/digit.png", "No such file or directory"),
        ("file/digit.png", "Not a directory"),
        ("folder.png", "is not a regular file"),
        (f"{'n' * 300}.png", "File name too long"),
        ("/proc/digit.png", ""),  # even root cannot write here
    ],
    ids=["missing folder", "below a file", "folder", "long", "read-only"],
)
def test_unwritable_output_is_reported_and_changes_nothing(
    run: Command, folder: Path, output: str, reason: str
) -> None:
    (folder / "folder.png").mkdir()
    (folder / "file").touch()
    before = sorted(folder.rglob("*"))
    done = run("--digit", 3, "--output", output)
    line = error_line(done)
    assert output in line
    assert line.endswith(f"{reason}; choose another path")
    assert done.returncode == 1
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "{missing}"], "there is no model {missing}; "),
        (["--provider", "cuda"], "pip install 'cgan-runtime[gpu]', or use the provider cpu"),
        (["--provider", "tpu"], "'tpu'"),
        (["--count", "1000000000000000"], "is larger than PNG readers accept; generate fewer"),
        (["--start", str(2**63 - 1), "--count", "2"], "out of range"),
        (["--count", "2", "--shard", "1/3"], "shard 1/3 of 2 images is empty; use fewer shards"),
    ],
)
def test_failed_requests_give_one_line_and_write_nothing(
    run: Command, folder: Path, bad_models: dict[str, Path], arguments: list[str], message: str
) -> None:
    done = run("--digit", 3, *(word.format(**bad_models) for word in arguments))
    assert message.format(**bad_models) in error_line(done)
    assert done.returncode == 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize("words", ["npy --walk 7:8", "pngs --count 200", "idx-gz --count 2000"])
def test_images_that_do_not_fit_the_disk_are_rejected(
    run: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    kind, *options = words.split()
    line = ("--digit", 3, "--output", "big", *options)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    done = run(*line, "--format", kind)
    error = error_line(done)
    assert error.startswith("error: cannot write big: it needs at least ")
    assert error.endswith(
        "the disk has 100 bytes free; generate fewer images, or choose another disk"
    )
    assert done.returncode == 1
    assert not list(folder.iterdir())
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**6))
    assert run(*line, "--format", kind).returncode == 0


@pytest.mark.parametrize("file_format", ["npy", "idx"])
def test_the_size_of_uncompressed_formats_is_known(
    generator: ImageGenerator, run: Command, folder: Path, file_format: str
) -> None:
    run("--digit", 3, "--count", 200, "--format", file_format, "--output", "out")
    paths = [folder / "out", *(folder / "out").rglob("train-*")]
    size = sum(path.stat().st_size for path in paths if path.is_file())
    least = min_bytes(file_format, generator.info, 200, 1)
    assert size - 200 < least <= size


def test_debug_raises_the_error(run: Command) -> None:
    with pytest.raises(ModelError, match=r"there is no model none\.onnx"):
        run("--model", "none.onnx", "--debug")
