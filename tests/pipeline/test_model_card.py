"""The model that ships, its card and its metadata tell the same story, and it is true."""

import hashlib
import re
from pathlib import Path

import harness
import numpy as np
import pytest
import torch

from cgan_runtime import ImageGenerator
from cgan_training.data import load_dataset
from cgan_training.errors import DatasetError
from cgan_training.evaluation.classifier import label_accuracy, load_or_train_classifier

MODELS = Path(__file__).parents[2] / "runtime" / "src" / "cgan_runtime" / "models"
MOST_BYTES = 320_000
IMAGES = 3000


@pytest.fixture(scope="module")
def card() -> str:
    return (MODELS / "digits.md").read_text(encoding="utf-8")


def test_the_card_is_this_files(card: str) -> None:
    content = (MODELS / "digits.onnx").read_bytes()
    assert len(content) <= MOST_BYTES
    assert f"{len(content):,} bytes" in card
    assert hashlib.sha256(content).hexdigest() in card
    assert (MODELS / "digits.png").is_file()
    assert "](digits.png)" in card


def test_the_card_says_what_the_metadata_say(card: str) -> None:
    with ImageGenerator() as generator:
        info = generator.info
    assert info.weights_sha256 in card
    assert f"| data set | {info.dataset} |" in card
    assert f"| recipe | {info.recipe['name']} |" in card
    figures = {float(each) for each in re.findall(r"\| (\d\.\d+) \|", card)}
    assert set(info.quality.values()) <= figures
    assert f"| epochs | {info.training['epochs']:,} |" in card


def test_the_file_draws_its_golden_images() -> None:
    with ImageGenerator(provider="cpu") as generator:
        golden = generator.info.golden
        drawn = generator.generate(list(golden.labels), seed=golden.seed)
    promised = np.frombuffer(golden.images, np.uint8).reshape(drawn.shape)
    assert np.abs(drawn.astype(int) - promised).max() <= 1


def test_the_file_scores_what_it_claims(mnist_dir: Path | None) -> None:
    if mnist_dir is None:
        pytest.skip("MNIST is not at hand; the golden images stand for it")
    train, _ = load_dataset("mnist", mnist_dir)
    judge = load_or_train_classifier(
        train.images, train.labels, classes=train.classes, cache_dir=harness.MODELS
    )
    labels = torch.arange(10).repeat(IMAGES // 10)
    with ImageGenerator(provider="cpu") as generator:
        drawn = torch.from_numpy(generator.generate(labels.tolist(), seed=99))
        claimed = generator.info.quality["label_accuracy"]
    assert label_accuracy(judge, drawn, labels) == pytest.approx(claimed, abs=0.003)


@pytest.fixture(scope="module")
def mnist_dir(request: pytest.FixtureRequest) -> Path | None:
    import os

    folder = os.environ.get("CGAN_DATA_DIR")
    if not folder or not (Path(folder) / "MNIST" / "raw").is_dir():
        return None
    try:
        load_dataset("mnist", Path(folder), train=False)
    except DatasetError:
        return None
    return Path(folder)
