import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from cgan_training.model_file import load_model

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]


def test_a_card_and_a_sheet_lie_beside_the_model(
    call: Command, run_dir: Path, tmp_path: Path, judge_cache: Path
) -> None:
    done = call(
        *("cgan-export", run_dir, "small.onnx", "--card", "--judge", "--cache-dir", judge_cache)
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "small.md").read_text()
    content = (tmp_path / "small.onnx").read_bytes()
    for fact in (
        hashlib.sha256(content).hexdigest(),
        load_model(run_dir).weights_sha256,
        f"{len(content):,} bytes",
        "| data set | optdigits |",
        "| recipe | small |",
        "| precision | fp32 |",
        "| label accuracy | 0.",
        "| recall | 0.",
        '"batch_size": 100',
        "![Generated images, a class a column](small.png)",
    ):
        assert fact in text
    with Image.open(tmp_path / "small.png") as picture:
        assert picture.size == (604, 656)


def test_a_card_says_what_was_not_measured(call: Command, run_dir: Path, tmp_path: Path) -> None:
    assert call("cgan-export", run_dir, "small.onnx", "--card").returncode == 0
    assert "Not measured" in (tmp_path / "small.md").read_text()
