"""What the gate of an export lets pass: drawings of which every number is known."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from cgan_export import verification as gate
from cgan_export.errors import VerificationError
from cgan_export.verification import (
    BATCHES,
    SEED,
    SEPARATE_IMAGES,
    Parity,
    Tolerance,
    golden_from_file,
    golden_with_torch,
    verify,
)
from cgan_runtime import ImageGenerator, ModelError
from cgan_runtime.noise import standard_normal
from cgan_training.model_file import Model, load_model

IMAGES = 10 * sum(BATCHES)
EXACT = Tolerance(0, 0.0, 0)
Change = Callable[[np.ndarray[Any, Any], list[int], int], None]


@pytest.fixture(scope="module")
def model(run_dir: Path) -> Model:
    return load_model(run_dir)


@pytest.fixture
def drawing(model: Model, monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Let the runtime draw as torch does, but for a change: change(images, labels, start)."""
    known: dict[int, np.ndarray[Any, Any]] = {}
    for label in range(10):  # all at once: torch's order of sums depends on the batch
        known[label] = gate.generate_with_torch(
            model, [label] * (IMAGES + SEPARATE_IMAGES), SEED, 0
        )

    def draw_known(_model: Model, labels: list[int], seed: int, start: int) -> np.ndarray[Any, Any]:
        assert seed == SEED
        return np.stack([known[label][start + i] for i, label in enumerate(labels)])

    monkeypatch.setattr(gate, "generate_with_torch", draw_known)

    def install(change: Change) -> None:
        class FakeGenerator:
            info = type("Info", (), {"classes": 10})

            def __init__(self, _path: Path, provider: str) -> None:
                assert provider == "cpu"

            def __enter__(self) -> "FakeGenerator":
                return self

            def __exit__(self, *_error: object) -> None:
                pass

            def generate(self, labels: list[int], *, seed: int, start: int = 0) -> Any:
                images = draw_known(model, list(labels), seed, start).astype(np.int16)
                change(images, list(labels), start)
                return images.clip(0, 255).astype(np.uint8)

        monkeypatch.setattr(gate, "ImageGenerator", FakeGenerator)

    return install


def untouched(images: np.ndarray[Any, Any], labels: list[int], start: int) -> None:
    pass


def lighter(images: np.ndarray[Any, Any], levels: int) -> None:
    """Change the first pixel of each image by so many grey levels."""
    first = images[:, 0, 0, 0]
    first += np.where(first > 127, -levels, levels).astype(np.int16)


def test_the_same_drawing(drawing: Callable[[Change], None], onnx_file: Path, model: Model) -> None:
    drawing(untouched)
    parity = verify(onnx_file, model, EXACT)
    assert (parity.largest_difference, parity.mean_difference) == (0, 0.0)
    assert parity.images == IMAGES == 2920


@pytest.mark.parametrize("levels", [1, 7])
def test_a_difference_as_large_as_is_allowed(
    drawing: Callable[[Change], None], onnx_file: Path, model: Model, levels: int
) -> None:
    def change(images: np.ndarray[Any, Any], labels: list[int], start: int) -> None:
        lighter(images, levels)

    drawing(change)
    parity = verify(onnx_file, model, Tolerance(levels, 1.0, 0))
    assert parity.largest_difference == levels
    assert parity.mean_difference == pytest.approx(levels / 784)
    with pytest.raises(VerificationError, match=f"a difference of {levels} grey levels"):
        verify(onnx_file, model, Tolerance(levels - 1, 1.0, 0))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("label", [0, 4, 9])
def test_each_label_is_drawn_at_each_batch(
    drawing: Callable[[Change], None], onnx_file: Path, model: Model, batch: int, label: int
) -> None:
    def change(images: np.ndarray[Any, Any], labels: list[int], start: int) -> None:
        if labels == [label] * batch:
            lighter(images[-1:], 3)

    drawing(change)
    message = rf"draws label {label} at batch {batch} with a difference of 3 .*allowed is 2;"
    with pytest.raises(VerificationError, match=message):
        verify(onnx_file, model, Tolerance(2, 1.0, 255))


def test_the_mean_is_that_of_all_images(
    drawing: Callable[[Change], None], onnx_file: Path, model: Model
) -> None:
    def change(images: np.ndarray[Any, Any], labels: list[int], start: int) -> None:
        if len(labels) == 33 and labels[0] == 5:
            lighter(images, 100)

    drawing(change)
    mean = 33 * 100 / 784 / IMAGES
    parity = verify(onnx_file, model, Tolerance(100, mean * 1.001, 255))
    assert parity.largest_difference == 100
    assert parity.mean_difference == pytest.approx(mean)
    with pytest.raises(VerificationError, match=r"by 0\.001 grey levels in the mean, allowed is 0"):
        verify(onnx_file, model, Tolerance(100, mean * 0.999, 255))


def test_an_image_must_not_depend_on_its_neighbours(
    drawing: Callable[[Change], None], onnx_file: Path, model: Model
) -> None:
    def change(images: np.ndarray[Any, Any], labels: list[int], start: int) -> None:
        if len(set(labels)) > 1:
            lighter(images[-1:], 2)

    drawing(change)
    assert verify(onnx_file, model, Tolerance(0, 0.0, 2)).largest_difference == 0
    with pytest.raises(VerificationError, match=r"alone differs by 2 .* of 64, allowed is 1;"):
        verify(onnx_file, model, Tolerance(0, 0.0, 1))


def test_golden_images_are_those_of_the_file_and_of_torch(onnx_file: Path, model: Model) -> None:
    ours, theirs = golden_from_file(onnx_file), golden_with_torch(model)
    assert ours.seed == theirs.seed == SEED
    assert ours.labels == theirs.labels == tuple(range(10))
    assert len(ours.images) == len(theirs.images) == 7840
    pairs = zip(ours.images, theirs.images, strict=True)
    assert max(abs(one - other) for one, other in pairs) <= 1


def test_a_tolerance_is_a_grey_level_between_batches_unless_told_otherwise() -> None:
    tolerance = Tolerance(3, 0.5)
    assert tolerance.batch == 1
    for frozen in (tolerance, Parity(1, 0.1, 5)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, dataclasses.fields(frozen)[0].name, 9)


def test_a_graph_whose_shapes_do_not_fit(onnx_file: Path, model: Model, tmp_path: Path) -> None:
    crooked = onnx.load(onnx_file)
    crooked.graph.output[0].type.tensor_type.shape.dim[2].dim_value += 1
    path = tmp_path / "crooked.onnx"
    onnx.save(crooked, path)
    with pytest.raises(VerificationError, match="onnx finds the exported graph faulty"):
        verify(path, model, EXACT)


def test_a_file_that_is_not_sound(onnx_file: Path, model: Model, tmp_path: Path) -> None:
    broken = onnx.load(onnx_file)
    broken.graph.node[0].op_type = "NoSuchOperator"
    path = tmp_path / "broken.onnx"
    onnx.save(broken, path)
    with pytest.raises(VerificationError, match=r"onnx finds the exported graph faulty \(.*report"):
        verify(path, model, EXACT)


def test_a_file_that_breaks_the_contract(onnx_file: Path, model: Model, tmp_path: Path) -> None:
    bare = onnx.load(onnx_file)
    del bare.metadata_props[:]
    path = tmp_path / "bare.onnx"
    onnx.save(bare, path)
    with pytest.raises(ModelError):
        verify(path, model, EXACT)


class Quantized:
    """An int8 generator that draws what it is told."""

    def __init__(self, noise_dim: int, images: np.ndarray[Any, Any]) -> None:
        table, weight = torch.zeros(10, 4), torch.zeros(noise_dim, 4)
        self.first = type("First", (), {"label_table": table, "noise_weight": weight})
        self.images = images
        self.asked: list[tuple[torch.Tensor, list[int]]] = []

    def draw(self, noise: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.asked.append((noise, labels.tolist()))
        return torch.from_numpy(self.images.astype(np.uint8))


@pytest.mark.parametrize(
    ("levels", "images", "refused"),
    [(0, 500, None), (8, 100, None), (9, 1, "up to 9 .*allowed are 8"), (8, 250, "0.0051")],
)
def test_integers_come_to_what_the_file_draws(
    onnx_file: Path, model: Model, levels: int, images: int, refused: str | None
) -> None:
    labels = [index % 10 for index in range(500)]
    with ImageGenerator(onnx_file, provider="cpu") as generator:
        promised = generator.generate(labels, seed=SEED).astype(np.int16)
    lighter(promised[:images], levels)
    quantized: Any = Quantized(model.generator.noise_dim, promised)
    if refused is None:
        gate.verify_integers(onnx_file, quantized)
    else:
        with pytest.raises(VerificationError, match=refused):
            gate.verify_integers(onnx_file, quantized)
    ((noise, asked),) = quantized.asked
    assert asked == labels
    promised_noise = standard_normal(SEED, 0, 500, model.generator.noise_dim)
    np.testing.assert_array_equal(noise.numpy(), promised_noise)
