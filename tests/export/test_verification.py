"""Verification detects every pixel error above its tolerance.

The tests replace the exported file by a fake generator, whose pixel errors are known.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from cgan_export.errors import VerificationError
from cgan_export.source.generator_source import GeneratorSource, source_of_model
from cgan_export.verification import verify as verification
from cgan_export.verification.verify import (
    BATCH_SIZES,
    INDEPENDENCE_IMAGES,
    PixelErrors,
    Tolerance,
    check_graph,
    golden_sample,
    verify_against_integers,
    verify_against_torch,
)
from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import REFERENCE_SEED
from cgan_runtime.noise import standard_normal
from cgan_training.model_file import load_model

IMAGES = 10 * sum(BATCH_SIZES)
Images = NDArray[np.int16]
Corrupt = Callable[[Images, list[int]], None]
Verify = Callable[[Corrupt, Tolerance], PixelErrors]


@pytest.fixture(scope="module")
def model(run_dir: Path) -> GeneratorSource:
    return source_of_model(load_model(run_dir))


@pytest.fixture(scope="module")
def torch_images(model: GeneratorSource) -> list[NDArray[np.uint8]]:
    """The images of PyTorch for each label, in one batch: its sums depend on the batch size."""
    count = IMAGES + INDEPENDENCE_IMAGES
    return [
        verification.generate_with_torch(model, [label] * count, REFERENCE_SEED, 0)
        for label in range(10)
    ]


@pytest.fixture
def verify(
    model: GeneratorSource, torch_images: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> Verify:
    """Verify a file whose images are those of PyTorch after corrupt(images, labels)."""

    def expected(
        _source: GeneratorSource, labels: list[int], seed: int, start: int
    ) -> NDArray[np.uint8]:
        assert seed == REFERENCE_SEED
        return np.stack([torch_images[label][start + i] for i, label in enumerate(labels)])

    monkeypatch.setattr(verification, "generate_with_torch", expected)

    def run(corrupt: Corrupt, tolerance: Tolerance) -> PixelErrors:
        def generate(labels: list[int], *, seed: int, start: int = 0) -> NDArray[np.uint8]:
            images = expected(model, labels, seed, start).astype(np.int16)
            corrupt(images, labels)
            return images.astype(np.uint8)

        generator: Any = SimpleNamespace(info=SimpleNamespace(classes=10), generate=generate)
        return verify_against_torch(generator, model, tolerance)

    return run


def change_first_pixel(images: NDArray[Any], error: int) -> None:
    first = images[:, 0, 0, 0]
    first += np.where(first > 127, -error, error).astype(images.dtype)


def test_equal_images_have_no_error(verify: Verify) -> None:
    errors = verify(lambda *_: None, Tolerance(0, 0.0, 0))
    assert errors == PixelErrors(0, 0.0, IMAGES)
    assert IMAGES == 2920


@pytest.mark.parametrize("error", [1, 7])
def test_the_max_error_may_equal_the_tolerance_but_not_exceed_it(
    verify: Verify, error: int
) -> None:
    def corrupt(images: Images, labels: list[int]) -> None:
        change_first_pixel(images, error)

    errors = verify(corrupt, Tolerance(error, 1.0, 0))
    assert errors.max == error
    assert errors.mean == pytest.approx(error / 784)
    with pytest.raises(VerificationError, match=f"max pixel error .* is {error}, more"):
        verify(corrupt, Tolerance(error - 1, 1.0, 0))


@pytest.mark.parametrize("batch", BATCH_SIZES)
@pytest.mark.parametrize("label", [0, 4, 9])
def test_each_label_is_verified_at_each_batch_size(verify: Verify, batch: int, label: int) -> None:
    def corrupt(images: Images, labels: list[int]) -> None:
        if labels == [label] * batch:
            change_first_pixel(images[-1:], 3)

    message = rf"vs PyTorch of label {label} at batch size {batch} is 3, more than the .* of 2,"
    with pytest.raises(VerificationError, match=message):
        verify(corrupt, Tolerance(2, 1.0, 255))


def test_the_mean_error_is_over_all_images(verify: Verify) -> None:
    def corrupt(images: Images, labels: list[int]) -> None:
        if len(labels) == 33 and labels[0] == 5:
            change_first_pixel(images, 100)

    mean = 33 * 100 / 784 / IMAGES
    errors = verify(corrupt, Tolerance(100, mean * 1.001, 255))
    assert errors.max == 100
    assert errors.mean == pytest.approx(mean)
    with pytest.raises(VerificationError, match=r"mean pixel error .* is 0\.\d+, more than"):
        verify(corrupt, Tolerance(100, mean * 0.999, 255))


def test_an_image_must_not_depend_on_its_batch(verify: Verify) -> None:
    def corrupt(images: Images, labels: list[int]) -> None:
        if len(set(labels)) > 1:
            change_first_pixel(images[-1:], 2)

    assert verify(corrupt, Tolerance(0, 0.0, 2)).max == 0
    with pytest.raises(VerificationError, match=r"in a batch of 64 is 2, more than the .* of 1,"):
        verify(corrupt, Tolerance(0, 0.0, 1))


def test_the_golden_sample_has_one_image_per_label(onnx_file: Path, model: GeneratorSource) -> None:
    with ImageGenerator(onnx_file, provider="cpu") as generator:
        golden = golden_sample(generator)
    labels = list(range(10))
    assert (golden.seed, golden.labels) == (REFERENCE_SEED, tuple(labels))
    expected = verification.generate_with_torch(model, labels, REFERENCE_SEED, 0)
    images = np.frombuffer(golden.images, np.uint8).reshape(expected.shape)
    assert np.abs(images.astype(int) - expected).max() <= 1


def declare_a_wrong_output_shape(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value += 1


def use_an_unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "NoSuchOperator"


@pytest.mark.parametrize("damage", [declare_a_wrong_output_shape, use_an_unknown_operator])
def test_an_invalid_graph_is_rejected(
    onnx_file: Path, tmp_path: Path, damage: Callable[[onnx.ModelProto], None]
) -> None:
    check_graph(onnx_file)
    model = onnx.load(onnx_file)
    damage(model)
    onnx.save(model, tmp_path / "invalid.onnx")
    with pytest.raises(VerificationError, match=r"^onnx rejects the exported graph \([^\n]+\); re"):
        check_graph(tmp_path / "invalid.onnx")


@pytest.mark.parametrize(
    ("error", "changed", "message"),
    [
        (0, 500, None),
        (8, 100, None),
        (9, 1, "max pixel error vs the integer .* is 9, more than the maximum of 8,"),
        (8, 250, r"mean pixel error .* is 0\.005102, more than the maximum of 0\.005,"),
    ],
)
def test_an_int8_file_must_match_its_integer_arithmetic(
    torch_images: list[NDArray[np.uint8]], error: int, changed: int, message: str | None
) -> None:
    images = torch_images[3][:500]
    labels = [index % 10 for index in range(500)]

    def generate(requested: list[int], *, seed: int) -> NDArray[np.uint8]:
        assert (requested, seed) == (labels, REFERENCE_SEED)
        return images

    def compute(noise: torch.Tensor, requested: torch.Tensor) -> torch.Tensor:
        assert requested.tolist() == labels
        np.testing.assert_array_equal(noise.numpy(), standard_normal(REFERENCE_SEED, 0, 500, 10))
        expected = images.astype(np.int16)
        change_first_pixel(expected[:changed], error)
        return torch.from_numpy(expected.astype(np.uint8))

    info = SimpleNamespace(classes=10, noise_dim=10)
    generator: Any = SimpleNamespace(info=info, generate=generate)
    quantized: Any = SimpleNamespace(generate=compute)
    if message is None:
        verify_against_integers(generator, quantized)
    else:
        with pytest.raises(VerificationError, match=message):
            verify_against_integers(generator, quantized)
