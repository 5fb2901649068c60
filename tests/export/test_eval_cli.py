import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from cgan_export import evaluation

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]


def test_a_run_and_its_export_measure_alike(
    command: Command, tmp_path: Path, run_dir: Path, onnx_file: Path, judge_cache: Path
) -> None:
    done = command(
        *("cgan-eval", onnx_file, "--baseline", run_dir, "--quick", "--json"),
        *("--cache-dir", judge_cache, "--output", "pictures", "--threads", 1),
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["dataset"] == "optdigits"
    assert answer["judge_accuracy"] > 0.95
    exported, trained = answer["models"]
    assert [exported["model"], trained["model"]] == [str(onnx_file), str(run_dir)]
    assert exported["figures"].keys() == trained["figures"].keys()
    assert "cas" not in exported["figures"]
    for name, figure in exported["figures"].items():
        assert figure == pytest.approx(trained["figures"][name], rel=0.02, abs=0.005)
    asked = torch.tensor(exported["confusion"])
    right = (asked.diagonal().sum() / asked.sum()).item()
    assert right == pytest.approx(exported["figures"]["label_accuracy"], abs=1e-4)
    assert len(exported["accuracy_by_label"]) == 10
    for name in ("sheet.png", "confusion.png", "nearest.png"):
        with Image.open(tmp_path / "pictures" / name) as picture:
            assert min(picture.size) > 300
            assert len(set(picture.convert("L").tobytes())) > 20


def test_a_table_with_every_figure_and_the_controls(
    call: Command, run_dir: Path, judge_cache: Path
) -> None:
    done = call(
        *("cgan-eval", run_dir, "--controls", "--quick", "--cache-dir", judge_cache, "--threads", 1)
    )
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.decode().splitlines()
    for name in ("real training images", "one image a class, repeated", "labels shifted by one"):
        assert name in head
    rows = {line[:32].strip(): line for line in lines}
    assert {"recall (+)", "coverage (+)", "memorised (-)", "label accuracy of 9"} <= rows.keys()
    accuracies = rows["label accuracy (+)"].split()[3:]
    assert accuracies[1] == accuracies[3] == "100.00%"  # real ones, and one of each repeated
    assert float(accuracies[0].rstrip("%")) < 50  # two epochs of a small network


def test_the_slow_figures_are_measured_unless_told_otherwise(
    call: Command, run_dir: Path, judge_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "LEAST_CAS_IMAGES", 1000)  # of 10,000
    done = call("cgan-eval", run_dir, "--json", "--cache-dir", judge_cache)
    assert done.returncode == 0, done.stderr
    (model,) = json.loads(done.stdout)["models"]
    assert 0 <= model["figures"]["cas"] <= 1
    assert model["figures"]["parzen"] < 0  # noise explains no digit


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing.pt"], 1, b"there is no nothing.pt; make one with cgan-train"),
        (["nothing.onnx"], 1, b"nothing.onnx"),
        (["{run}", "--dataset", "shapes"], 1, b"no data set 'shapes'; choose one of"),
        (["{run}", "--seed", -1], 2, b"Invalid value for '--seed'"),
        ([], 2, b"Missing argument 'MODEL'"),
    ],
)
def test_errors_are_a_line(
    call: Command, run_dir: Path, arguments: list[object], code: int, message: bytes
) -> None:
    done = call("cgan-eval", *(str(each).replace("{run}", str(run_dir)) for each in arguments))
    assert done.returncode == code
    assert message in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""
