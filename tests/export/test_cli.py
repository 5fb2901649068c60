import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]


def test_an_export_from_the_command_line(command: Command, run_dir: Path, tmp_path: Path) -> None:
    done = command("cgan-export", run_dir / "model.pt", "digits.onnx")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "digits.onnx"
    assert [line.split()[0] for line in lines[1:]] == [
        "size",
        "precision",
        "parameters",
        "opset",
        "difference",
        "quality",
        "seconds",
    ]
    assert f"{(tmp_path / 'digits.onnx').stat().st_size:,} bytes" in lines[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing argument"),
        (["model.pt"], 2, "Missing argument"),
        (["none.pt", "out.onnx"], 1, "there is no none.pt; make one with cgan-train"),
        (["text.pt", "out.onnx"], 1, "text.pt is not a model that cgan-train wrote"),
        (["{run}", "none/out.onnx"], 1, "cannot write none/out.onnx: No such file"),
        (["{run}", "."], 2, "is a directory"),
    ],
)
def test_bad_input_gets_one_line_and_a_code(
    command: Command,
    run_dir: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "text.pt").write_text("not a model")
    done = command("cgan-export", *(each.format(run=run_dir) for each in arguments))
    assert done.returncode == code
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["text.pt"]


def test_help_costs_no_torch() -> None:
    code = (
        "import sys; from cgan_export.cli import command;"
        "command.main(['--help'], standalone_mode=False);"
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_public_names() -> None:
    code = (
        "import cgan_export as c; assert sorted(c.__all__) == ['ExportError', 'Report', "
        "'VerificationError', 'export_model'], c.__all__; [getattr(c, n) for n in c.__all__]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
