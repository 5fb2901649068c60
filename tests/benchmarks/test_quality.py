import os
from pathlib import Path

import harness
import quality
import torch

from cgan_training.data import load_dataset
from cgan_training.evaluation import CONTROLS
from cgan_training.evaluation.classifier import (
    classifier_file_name,
    label_accuracy,
    load_or_train_classifier,
)


def test_rows_are_added_before_the_controls() -> None:
    before: quality.Rows = {"a": {"x": 1}, "b": {"x": 2}, "real training images": {"x": 3}}
    now: quality.Rows = {"c": {"x": 4}, "a": {"x": 5}}
    found = quality.merged(before, now)
    assert list(found) == ["a", "b", "c", "real training images"]
    assert [row["x"] for row in found.values()] == [5, 2, 4, 3]


def test_a_control_is_measured_anew_where_the_judge_or_its_model_is_another() -> None:
    before: quality.Rows = {name: {"judge": "j"} for name in CONTROLS}
    assert quality.to_measure(before, "j") == {"the model, labels shifted by one"}
    before["real images with noise"] = {"judge": "i"}
    assert len(quality.to_measure(before, "j")) == 2
    assert len(quality.to_measure(before, "k")) == 4
    assert len(quality.to_measure({}, "j")) == 4


def test_the_table_marks_what_another_judge_measured() -> None:
    row = {key: 0.5 for key, _ in quality.COLUMNS.values()}
    quick = {key: 0.5 for key in row if key not in ("cas", "parzen")}
    rows: quality.Rows = {
        "mine": {**row, "judge": "j"},
        "old": row,
        "quick": {**quick, "judge": "j"},
    }
    _, _, mine, old, last = quality.table(rows, "j").splitlines()
    assert mine.startswith("| mine | 0.5000 |")
    assert old.startswith("| old † | 0.5000 |")
    assert last.endswith("| 50.0% |  |")
    assert mine.count("|") == last.count("|")


if "CGAN_DATA_DIR" in os.environ:  # the real files, where the machine has them

    def test_the_judge_of_all_figures_is_kept() -> None:
        folder = Path(os.environ["CGAN_DATA_DIR"])
        train = load_dataset("mnist", folder)[0]
        test = load_dataset("mnist", folder, train=False)[0]
        kept = harness.MODELS / classifier_file_name(
            train.images, train.labels, classes=train.classes
        )
        before = kept.stat().st_mtime_ns
        judge = load_or_train_classifier(
            train.images, train.labels, classes=train.classes, cache_dir=harness.MODELS
        )
        assert kept.stat().st_mtime_ns == before
        some = torch.arange(0, 10_000, 5)
        assert label_accuracy(judge, test.images[some], test.labels[some]) > 0.995
