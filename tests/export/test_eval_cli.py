"""The command cgan-eval."""

import copy
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from commands import Command
from PIL import Image

from cgan_export.cli.evaluate import results_table
from cgan_export.cli.pictures import write_pictures
from cgan_export.evaluation import evaluator as evaluator_module
from cgan_export.evaluation import pictures
from cgan_export.evaluation.datasets import EvaluationData
from cgan_export.evaluation.evaluator import Evaluator
from cgan_export.evaluation.image_sources import open_source
from cgan_export.evaluation.pictures import confusion_picture, sheet_picture
from cgan_runtime.cli import runner
from cgan_training.data import load_dataset
from cgan_training.evaluation.classifier import classification_accuracy_score
from cgan_training.evaluation.memorization import nearest_training_images


def defined(metrics: dict[str, float | None]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if value is not None}


@pytest.fixture(scope="module")
def evaluator(classifier_cache: Path) -> Evaluator:
    train, test = (load_dataset("optdigits", Path("none"), train=each)[0] for each in (True, False))
    return Evaluator(EvaluationData(train, test), classifier_cache)


def test_a_run_and_its_export_have_the_same_metrics(
    call: Command, tmp_path: Path, run_dir: Path, onnx_file: Path, classifier_cache: Path
) -> None:
    options = ["--baseline", run_dir, "--quick", "--json", "--cache-dir", classifier_cache]
    done = call("cgan-eval", onnx_file, *options, "--output", "pictures", "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert b"generating 1,000 images with " in done.stderr
    values = json.loads(done.stdout)
    assert (values["dataset"], values["repeats"]) == ("optdigits", 1)
    assert values["classifier_accuracy"] > 0.95
    exported, trained = values["models"]
    assert [exported["model"], trained["model"]] == [str(onnx_file), str(run_dir)]
    assert exported["figures"].keys() == trained["figures"].keys()
    assert "cas" not in exported["figures"]
    for name, value in exported["figures"].items():
        assert value == pytest.approx(trained["figures"][name], rel=0.02, abs=0.005)
    confusion = torch.tensor(exported["confusion"])
    accuracy = (confusion.diagonal().sum() / confusion.sum()).item()
    assert accuracy == pytest.approx(exported["figures"]["label_accuracy"], abs=1e-4)
    for name in ("sheet.png", "confusion.png", "nearest.png"):
        with Image.open(tmp_path / "pictures" / name) as picture:
            assert min(picture.size) > 300
            assert len(set(picture.convert("L").tobytes())) > 20


def test_the_table_has_a_column_for_each_control(
    call: Command, run_dir: Path, classifier_cache: Path
) -> None:
    done = call("cgan-eval", run_dir, "--controls", "--quick", "--cache-dir", classifier_cache)
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.decode().splitlines()
    for name in ("real training images", "one image per class, repeated", "shifted by one"):
        assert name in head
    rows = {re.split("  +", line)[0]: line for line in lines}
    assert {"recall (+)", "coverage (+)", "memorized (-)", "label accuracy of 9"} <= rows.keys()
    ratios = rows["high-frequency power relative to real images"].split()[-5:]
    assert float(ratios[1]) == pytest.approx(1, abs=0.5)  # real training images
    assert float(ratios[2]) > 2  # real images with noise
    accuracies = rows["label accuracy (+)"].split()[3:]
    assert accuracies[1] == accuracies[3] == "100.00%"  # real images, and one repeated per class
    assert float(accuracies[0].rstrip("%")) < 50  # the model, after two short epochs


def test_repeats_give_means_and_standard_deviations(evaluator: Evaluator, run_dir: Path) -> None:
    source = open_source(run_dir)
    one, two = (evaluator.evaluate(source, quick=True, repeats=n) for n in (1, 2))
    assert not one.deviations
    assert two.deviations.keys() == one.metrics.keys()
    confusion, first = torch.tensor(two.confusion), torch.tensor(one.confusion)
    second = confusion - first  # the first of the two sets is the single set
    assert torch.equal(first.sum(1), second.sum(1))
    assert (second >= 0).all()
    means, deviations, single = map(defined, (two.metrics, two.deviations, one.metrics))
    assert deviations["frechet"] > 0  # each set has its own noise
    for name in ("label_accuracy", "frechet", "recall", "memorized"):
        # Two numbers differ from their mean by sqrt(1/2) of their standard deviation.
        difference = abs(means[name] - single[name])
        assert difference == pytest.approx(deviations[name] / 2**0.5, abs=2e-4)
    accuracies = (confusion.diagonal() / confusion.sum(1)).tolist()
    assert two.metrics["worst_label_accuracy"] == pytest.approx(min(accuracies), abs=1e-4)
    assert two.accuracy_by_label == pytest.approx(accuracies, abs=1e-4)
    table = results_table([two], source.class_names)
    assert re.search(r"^recall \(\+\) +0\.\d{3} ± 0\.\d{3}$", table, re.MULTILINE)


def test_slow_metrics_are_measured_without_quick(
    evaluator: Evaluator, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator_module, "MIN_CAS_IMAGES", 1000)
    short = partial(classification_accuracy_score, epochs=1)
    monkeypatch.setattr(evaluator_module, "classification_accuracy_score", short)
    metrics = defined(evaluator.evaluate(open_source(run_dir)).metrics)
    assert 0 <= metrics["cas"] <= 1


def test_undefined_metrics_are_null_and_a_dash(evaluator: Evaluator, run_dir: Path) -> None:
    """The test part has no image of class 3."""
    test = evaluator.test
    kept = test.labels != 3
    part = replace(test, images=test.images[kept], labels=test.labels[kept])
    fewer = copy.copy(evaluator)
    fewer.test = part
    fewer._nearest_of_test = nearest_training_images(part.images, part.labels, fewer.train)
    source = open_source(run_dir)
    evaluation = fewer.evaluate(source, quick=True)
    values = json.loads(runner.json_text(evaluation.to_dict()))
    assert values["accuracy_by_label"][3] is None
    assert None not in (*values["accuracy_by_label"][:3], *values["accuracy_by_label"][4:])
    table = results_table([evaluation], source.class_names)
    assert re.search(r"^label accuracy of 3 +-$", table, re.MULTILINE)
    for picture in (sheet_picture, confusion_picture):
        assert picture(evaluation, source.class_names, "title").startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_rendered_is_skipped(
    evaluator: Evaluator,
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> bytes:
        raise ValueError("too\nlarge")

    monkeypatch.setattr(pictures, "sheet_picture", fail)
    source = open_source(run_dir)
    write_pictures(evaluator.evaluate(source, quick=True), source, evaluator, tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["confusion.png", "nearest.png"]
    assert caplog.messages[-1] == "sheet.png cannot be rendered (ValueError: too large)"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.pt"], 1, "none.pt"),
        (["none.onnx"], 1, "none.onnx"),
        (["{run}/grid.png"], 1, "; give a model.pt, its run directory or an .onnx file"),
        (["{run}/checkpoint.pt"], 1, "; give a model.pt, its run directory or an .onnx file"),
        (["text"], 1, "; give a model.pt, its run directory or an .onnx file"),
        (["my_module:generator"], 2, "my_module:generator is a module; export it with cgan-export"),
        (["{run}", "--dataset", "shapes"], 1, "'shapes'; choose "),
        (["{convolutional}", "--dataset", "optdigits"], 1, "generates 4 classes of 8 x 12 pixels"),
        (["{run}", "--repeats", 0], 2, "--repeats must be a whole number from 1 to 20, got '0'"),
        (
            ["{run}", "--quick", "--output", "text/folder"],
            1,
            "cannot create text/folder: Not a directory; ",
        ),
        ([], 2, "Missing argument 'MODEL'"),
    ],
)
def test_bad_input_gives_one_error_line(
    call: Command,
    run_dir: Path,
    convolutional_model: Path,
    classifier_cache: Path,
    tmp_path: Path,
    arguments: list[object],
    code: int,
    message: str,
) -> None:
    (tmp_path / "text").write_text("a file")
    paths = {"run": run_dir, "convolutional": convolutional_model}
    words = [str(each).format(**paths) for each in arguments]
    done = call("cgan-eval", *words, *["--cache-dir", classifier_cache] * bool(words))
    assert (done.returncode, done.stdout) == (code, b"")
    (error,) = re.findall("^error: .*$", done.stderr.decode(), re.MULTILINE)
    assert message in error
