import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cgan_export.evaluation import evaluator

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


def test_several_sets_are_measured_and_their_mean_told(
    call: Command, run_dir: Path, judge_cache: Path
) -> None:
    def measured(*words: object) -> dict[str, Any]:
        options = "--quick", "--json", "--cache-dir", judge_cache
        done = call("cgan-eval", run_dir, *options, *words)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["draws"] == (words[1] if words else 1)
        return dict(answer["models"][0])

    one, two = measured(), measured("--draws", 2)
    assert not one["deviations"]
    assert two["deviations"].keys() == one["figures"].keys()
    asked, first = torch.tensor(two["confusion"]), torch.tensor(one["confusion"])
    second = asked - first  # the first of two sets is the one set of before
    assert torch.equal(first.sum(1), second.sum(1))
    assert (second >= 0).all()
    assert two["deviations"]["frechet"] > 0  # each set is of noise of its own
    for name in ("label_accuracy", "frechet", "recall", "memorised"):
        mean, deviation, figure = (
            two["figures"][name],
            two["deviations"][name],
            one["figures"][name],
        )
        # Two numbers lie sqrt(1/2) of their deviation from their mean.
        assert abs(mean - figure) == pytest.approx(deviation / 2**0.5, abs=2e-4)
    right = asked.diagonal() / asked.sum(1)
    assert two["figures"]["worst_label_accuracy"] == pytest.approx(right.min().item(), abs=1e-4)
    assert two["accuracy_by_label"] == pytest.approx(right.tolist(), abs=1e-4)


def test_a_table_of_several_sets_has_their_spread(
    call: Command, run_dir: Path, judge_cache: Path
) -> None:
    options = "--quick", "--cache-dir", judge_cache, "--threads", 1
    done = call("cgan-eval", run_dir, "--draws", 2, *options)
    assert b"drawing 2 times 1,000 images" in done.stderr
    (line,) = (each for each in done.stdout.decode().splitlines() if each.startswith("recall (+)"))
    assert re.fullmatch(r"recall \(\+\) +0\.\d{3} ± 0\.\d{3}", line)


def test_the_slow_figures_are_measured_unless_told_otherwise(
    call: Command, run_dir: Path, judge_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "LEAST_CAS_IMAGES", 1000)  # of 10,000
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
        (
            ["{run}", "--draws", 0],
            2,
            b"Invalid value for '--draws': 0 is not in the range 1<=x<=20",
        ),
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
