import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cgan_runtime import ImageGenerator

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]


def test_an_export_from_the_command_line(command: Command, run_dir: Path, tmp_path: Path) -> None:
    done = command("cgan-export", run_dir / "model.pt", "digits.onnx")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    lines = done.stdout.decode().splitlines()
    assert [line.split("  ")[0] for line in lines[:-1]] == [
        "file",
        "precision",
        "bytes",
        "parameters",
        "nodes",
        "opset",
        "off torch, most",
        "off torch, mean",
        "label accuracy",
        "gate",
        "Fréchet distance",
        "recall",
        "one image",
        "in bulk",
        "export took",
    ]
    assert lines[0].split() == ["file", "digits.onnx"]
    assert f"{(tmp_path / 'digits.onnx').stat().st_size:,}" in lines[2]
    assert lines[-1].startswith("Off torch: grey levels of 255, in 2,920 images.")


def test_every_precision_at_once(
    call: Command, run_dir: Path, tmp_path: Path, judge_cache: Path
) -> None:
    wanted = [word for each in ("fp32", "fp16", "int8", "fp32") for word in ("--precision", each)]
    done = call(
        *("cgan-export", run_dir, "digits.onnx", *wanted, "--opset", 20, "--json"),
        *("--cache-dir", judge_cache),
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["path"] for row in rows] == [
        f"digits-{precision}.onnx" for precision in ("fp32", "fp16", "int8")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(row["path"] for row in rows)
    assert [row["bytes"] for row in rows] == [
        (tmp_path / row["path"]).stat().st_size for row in rows
    ]
    assert rows[0]["bytes"] > rows[1]["bytes"] > rows[2]["bytes"]
    changes = [row["label_accuracy_change"] for row in rows]
    assert changes[0] is None
    assert all(change >= -0.001 for change in changes[1:])
    assert all(row["opset"] == 20 for row in rows)
    assert all(0 < row["latency_microseconds"] < 1e6 for row in rows)
    for row in rows:
        gate = ImageGenerator(tmp_path / row["path"]).info.verification["quality_gate"]
        assert gate == ("not asked for" if row["precision"] == "fp32" else "passed")


def test_without_the_gate_no_data_are_needed(call: Command, run_dir: Path, tmp_path: Path) -> None:
    done = call(
        *("cgan-export", run_dir, "digits.onnx", "--precision", "int8", "--no-quality-gate"),
        *("--cache-dir", "none", "--dataset", "nowhere"),
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["digits.onnx"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing argument"),
        (["model.pt"], 2, "Missing argument"),
        (["none.pt", "out.onnx"], 1, "there is no none.pt; make one with cgan-train"),
        (["text.pt", "out.onnx"], 1, "text.pt is not a model that cgan-train wrote"),
        (["{run}", "none/out.onnx"], 1, "cannot write none/out.onnx: none is no folder"),
        (["{run}", "."], 2, "is a directory"),
        (["{run}", "out.onnx", "--precision", "int4"], 2, "'int4' is not one of"),
        (["{run}", "out.onnx", "--opset", "18"], 2, "18 is not in the range 19<=x<=21"),
        (
            ["{run}", "out.onnx", "--precision", "int8", "--dataset", "nowhere"],
            1,
            "the quality gate needs the data: ",
        ),
    ],
)
def test_bad_input_gets_one_line_and_a_code(
    call: Command,
    run_dir: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "text.pt").write_text("not a model")
    done = call("cgan-export", *(each.format(run=run_dir) for each in arguments))
    assert done.returncode == code
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["text.pt"]


def test_help_costs_no_torch() -> None:
    code = (
        "import sys; from cgan_export.cli.export import command;"
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
