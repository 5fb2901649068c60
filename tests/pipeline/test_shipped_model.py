"""The shipped model, its card and its metadata agree, and it has the quality in its metadata."""

import hashlib
import os
import re
from pathlib import Path

import harness
import pytest
import torch

from cgan_runtime import ImageGenerator
from cgan_training.data import load_dataset
from cgan_training.errors import DatasetError
from cgan_training.evaluation.classifier import label_accuracy, load_or_train_classifier

MODELS = Path(__file__).parents[2] / "runtime" / "src" / "cgan_runtime" / "models"
MAX_BYTES = 320_000
IMAGES = 3000


def test_the_card_describes_this_file() -> None:
    card = (MODELS / "digits.md").read_text(encoding="utf-8")
    content = (MODELS / "digits.onnx").read_bytes()
    assert len(content) <= MAX_BYTES
    assert f"{len(content):,} bytes" in card
    assert hashlib.sha256(content).hexdigest() in card
    assert (MODELS / "digits.png").is_file()
    assert "](digits.png)" in card
    with ImageGenerator() as generator:
        info = generator.info
    assert info.weights_sha256 in card
    assert f"| dataset | {info.dataset} |" in card
    assert f"| recipe | {info.recipe['name']} |" in card
    assert f"| epochs | {info.training['epochs']:,} |" in card
    metrics = {float(each) for each in re.findall(r"\| (\d\.\d+) \|", card)}
    assert set(info.quality.values()) <= metrics


def test_the_model_has_the_quality_in_its_metadata() -> None:
    data_dir = Path(os.environ.get("CGAN_DATA_DIR") or "nowhere")
    if not (data_dir / "MNIST" / "raw").is_dir():
        pytest.skip("MNIST is not on this disk")
    try:
        train, _ = load_dataset("mnist", data_dir)
    except DatasetError as error:
        pytest.skip(str(error))
    classifier = load_or_train_classifier(train, harness.MODELS)
    labels = torch.arange(10).repeat(IMAGES // 10)
    with ImageGenerator(provider="cpu") as generator:
        images = torch.from_numpy(generator.generate(labels.tolist(), seed=99))
        expected = generator.info.quality["label_accuracy"]
    assert label_accuracy(classifier, images, labels) == pytest.approx(expected, abs=0.003)
