"""A trained model where an .onnx file is expected: the message names cgan-export."""

import shlex
import shutil
from pathlib import Path

import pytest
from commands import REQUIRED, Command

from cgan_runtime import ImageGenerator, ModelError


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cgan-run", "model.pt"),
        ("cgan-run", "checkpoint.pt"),
        ("cgan-run", ""),
        ("cgan-check", "model.pt"),
        ("cgan-bulk", "model.pt"),
    ],
)
def test_the_message_about_a_trained_model_names_cgan_export(
    call: Command, run_dir: Path, tmp_path: Path, name: str, file: str
) -> None:
    before = sorted(tmp_path.iterdir())
    path = run_dir / file
    done = call(name, *REQUIRED[name], "--model", path)
    assert (done.returncode, done.stdout) == (1, b"")
    what = "a PyTorch model" if file else "a run directory"
    assert done.stderr.decode() == (
        f"error: {path} is {what}, not an ONNX file; export it with `cgan-export {path} "
        "model.onnx`\n"
    )
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_for_a_path_with_spaces_can_be_pasted(run_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "my model.pt"
    shutil.copy(run_dir / "model.pt", path)
    with pytest.raises(ModelError) as caught:
        ImageGenerator(path)
    command = str(caught.value).split("`")[1]
    assert shlex.split(command) == ["cgan-export", str(path), "model.onnx"]


def test_an_archive_without_a_model_is_not_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"PK\x03\x04 an archive of something else")
    with pytest.raises(ModelError, match="is not an ONNX model"):
        ImageGenerator(path)
