"""ImageGenerator: its arguments, batches, streams, copies and results."""

import copy
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from cli_runs import is_close
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cgan_runtime.errors import CganError, InputError, ModelError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file.contract import IMAGE, MAX_BATCH, ModelInfo
from cgan_runtime.model_file.reading import SHIPPED_MODEL
from cgan_runtime.model_file.validation.graph_validation import ValidModel

Images = NDArray[np.uint8]
SHAPE = (1, 12, 9)  # of the tiny model
SEEDS = st.integers(0, 2**64 - 1)
THREADS = st.sampled_from([1, 2, 5])


@pytest.fixture(scope="session")
def generators(tiny_model: Path) -> Mapping[int, ImageGenerator]:
    """Generators of the tiny model by number of threads."""
    return {threads: ImageGenerator(tiny_model, "cpu", threads) for threads in (1, 2, 5)}


@pytest.fixture(scope="session")
def shipped_generators() -> Mapping[int, ImageGenerator]:
    """Generators of the model in the package by number of threads."""
    return {threads: ImageGenerator(None, "cpu", threads) for threads in (1, 2, 5)}


def test_generator_has_the_metadata_and_the_provider(
    generator: ImageGenerator, info: ModelInfo
) -> None:
    assert generator.info == info
    assert generator.provider == "cpu"


def test_golden_sample_is_generated(generator: ImageGenerator, info: ModelInfo) -> None:
    golden = np.frombuffer(info.golden.images, np.uint8).reshape(-1, *SHAPE)
    images = generator.generate(info.golden.labels, seed=info.golden.seed)
    assert is_close(images, golden)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous


def test_label_seed_and_index_change_the_image(generator: ImageGenerator) -> None:
    images = [
        *generator.generate([3, 3, 4], seed=7),
        *generator.generate([3, 3], seed=8),
        *generator.generate([3, 3], seed=7, start=2),
    ]
    assert len({image.tobytes() for image in images}) == len(images)
    assert all(image.any() for image in images)


def test_labels_of_every_kind_are_accepted(generator: ImageGenerator) -> None:
    expected = generator.generate([3, 0, 9], seed=5)
    for labels in ((3, 0, 9), np.array([3, 0, 9], np.uint8), ["3", "0", "9"]):
        np.testing.assert_array_equal(generator.generate(labels, seed=5), expected)
    assert generator.generate([], seed=5).shape == (0, *SHAPE)
    assert generator.generate("3", seed=5).shape == (1, *SHAPE)


def test_repeated_call_gives_the_same_bytes(generator: ImageGenerator, tiny_model: Path) -> None:
    labels = [label % 10 for label in range(300)]
    first = generator.generate(labels, seed=2**64 - 1, start=2**40)
    for other in (generator, ImageGenerator(tiny_model, "cpu", 1)):
        again = other.generate(labels, seed=2**64 - 1, start=2**40)
        np.testing.assert_array_equal(again, first)


@given(
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    seed=SEEDS,
    start=st.integers(0, 2**63 - 41),
    threads=THREADS,
)
@settings(deadline=None, max_examples=60)
def test_image_does_not_depend_on_other_images_of_its_batch(
    generators: Mapping[int, ImageGenerator],
    labels: list[int],
    cuts: list[int],
    seed: int,
    start: int,
    threads: int,
) -> None:
    whole = generators[1].generate(labels, seed=seed, start=start)
    edges = [0, *sorted(min(cut, len(labels)) for cut in cuts), len(labels)]
    parts = [
        generators[threads].generate(labels[first:last], seed=seed, start=start + first)
        for first, last in pairwise(edges)
    ]
    assert is_close(np.concatenate(parts), whole)


def test_more_labels_than_one_batch_are_accepted(generator: ImageGenerator) -> None:
    labels = np.arange(2 * MAX_BATCH + 5) % 10
    images = generator.generate(labels, seed=3, start=11)
    assert images.shape == (len(labels), *SHAPE)
    for index in (0, MAX_BATCH - 1, MAX_BATCH, 2 * MAX_BATCH - 1, len(labels) - 1):
        alone = generator.generate(int(labels[index]), seed=3, start=11 + index)
        assert is_close(alone, images[index : index + 1])


@given(
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=7),
    count=st.integers(0, 6),
    batch_size=st.integers(1, 45),
    seed=SEEDS,
    start=st.integers(0, 2**63 - 41),
    threads=THREADS,
)
@settings(deadline=None, max_examples=60)
def test_stream_yields_the_images_of_generate(
    generators: Mapping[int, ImageGenerator],
    labels: list[int],
    count: int,
    batch_size: int,
    seed: int,
    start: int,
    threads: int,
) -> None:
    repeated = labels * count
    whole = generators[1].generate(repeated, seed=seed, start=start)
    stream = generators[threads].stream(
        labels, seed=seed, count=count, start=start, batch_size=batch_size
    )
    done = 0
    for batch in stream:
        size = min(batch_size, len(repeated) - done)
        assert batch.start == start + done
        assert batch.labels.tolist() == repeated[done : done + size]
        assert is_close(batch.images, whole[done : done + size])
        done += size
    assert done == len(repeated)


@given(
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=60),
    batch_size=st.integers(1, 31),
    seed=SEEDS,
    start=st.integers(0, 2**63 - 100),
    threads=THREADS,
)
@settings(deadline=None, max_examples=60)
def test_int8_model_gives_the_same_bytes_in_any_batch(
    shipped_generators: Mapping[int, ImageGenerator],
    labels: list[int],
    batch_size: int,
    seed: int,
    start: int,
    threads: int,
) -> None:
    whole = shipped_generators[1].generate(labels, seed=seed, start=start)
    stream = shipped_generators[threads].stream(
        labels, seed=seed, count=1, start=start, batch_size=batch_size
    )
    np.testing.assert_array_equal(np.concatenate([batch.images for batch in stream]), whole)


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        ({"count": -1}, "out of range"),
        ({"count": 2**63 + 1}, "out of range"),
        ({"count": 1.5}, "count is 1.5; give a whole number"),
        ({"batch_size": 0}, "batch_size is 0; give 1 to 2147483647"),
        ({"labels": []}, "labels is empty; give at least one label"),
        ({"labels": [10]}, "no label 10"),
        ({"seed": -1}, "seed -1 is out of range"),
    ],
)
def test_stream_rejects_arguments_immediately(
    generator: ImageGenerator, invalid: dict[str, Any], message: str
) -> None:
    arguments: dict[str, Any] = {"labels": [1], "seed": 7, "count": 3}
    with pytest.raises(InputError, match=message):
        generator.stream(**arguments | invalid)


def test_stream_continues_after_the_generator_is_closed(tiny_model: Path) -> None:
    with ImageGenerator(tiny_model, "cpu") as generator:
        stream = generator.stream([1, 2], seed=7, count=3, batch_size=4)
        expected = generator.generate([1, 2, 1, 2, 1, 2], seed=7)
    assert is_close(np.concatenate([batch.images for batch in stream]), expected)


@pytest.mark.parametrize(
    ("labels", "seed", "start"), [([3, 4], 2**64, 0), ([3, 4], 0, 2**63 - 1), ([], -1, 0)]
)
def test_seed_or_start_out_of_range_is_rejected(
    generator: ImageGenerator, labels: list[int], seed: int, start: int
) -> None:
    with pytest.raises(InputError, match="out of range"):
        generator.generate(labels, seed=seed, start=start)


@pytest.mark.parametrize("number", [np.int64, np.uint32])
def test_seed_and_start_may_be_numpy_integers(generator: ImageGenerator, number: Any) -> None:
    start = int(np.iinfo(number).max) - 5
    actual = generator.generate([3, 4], seed=number(7), start=number(start))
    np.testing.assert_array_equal(actual, generator.generate([3, 4], seed=7, start=start))


@pytest.mark.parametrize("threads", [0, -1, 1025, 10**12])
def test_threads_out_of_range_are_rejected(tiny_model: Path, threads: int) -> None:
    with pytest.raises(InputError, match=f"threads is {threads}; give 1 to 1024"):
        ImageGenerator(tiny_model, "cpu", threads)


def test_generation_prints_nothing(tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ImageGenerator(tiny_model) as generator:
        generator.generate(range(10), seed=0)
    assert capfd.readouterr() == ("", "")


def test_concurrent_calls_generate_the_right_images(generator: ImageGenerator) -> None:
    calls = [([label % 10] * (label + 1), label % 3, label) for label in range(48)]

    def generate(call: tuple[list[int], int, int]) -> Images:
        labels, seed, start = call
        return generator.generate(labels, seed=seed, start=start)

    expected = [generate(call) for call in calls]
    with ThreadPoolExecutor(8) as pool:
        for actual, images in zip(pool.map(generate, calls), expected, strict=True):
            np.testing.assert_array_equal(actual, images)


def test_block_closes_its_generator(tiny_model: Path, info: ModelInfo) -> None:
    with ImageGenerator(tiny_model, "cpu", threads=1) as generator:
        assert generator.generate(3, seed=0).shape == (1, *SHAPE)
    with pytest.raises(ZeroDivisionError), ImageGenerator(tiny_model, "cpu", threads=1) as failed:
        raise ZeroDivisionError
    for closed in (generator, failed):
        closed.close()  # a second time
        for labels in ([3], []):
            with pytest.raises(InputError, match="is closed; create a new one"):
                closed.generate(labels, seed=0)
        with pytest.raises(InputError, match="closed"):
            closed.stream([1], seed=7, count=1)
        with pytest.raises(CganError, match="closed"):
            _ = closed.provider
        assert closed.info == info


def _pickle(generator: ImageGenerator) -> ImageGenerator:
    copied: ImageGenerator = pickle.loads(pickle.dumps(generator))
    return copied


COPIES = [_pickle, copy.copy, copy.deepcopy]


@pytest.mark.parametrize("make_copy", COPIES)
def test_generator_can_be_copied(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_copy: Callable[[ImageGenerator], ImageGenerator],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").write_bytes(tiny_model.read_bytes())
    with ImageGenerator("m.onnx", "cpu", 2) as generator:
        expected = generator.generate([1, 2, 3], seed=7)
        monkeypatch.chdir("/")
        with make_copy(generator) as copied:
            np.testing.assert_array_equal(copied.generate([1, 2, 3], seed=7), expected)
            assert copied.model_sha256 == generator.model_sha256


def test_copy_of_the_shipped_model_has_no_path() -> None:
    assert str(SHIPPED_MODEL).encode() not in pickle.dumps(ImageGenerator(None, "cpu", 1))


@pytest.mark.parametrize("make_copy", COPIES)
def test_copy_needs_the_same_file(
    tiny_model: Path, tmp_path: Path, make_copy: Callable[[ImageGenerator], ImageGenerator]
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_model.read_bytes())
    with ImageGenerator(path, "cpu", 1) as generator:
        path.write_bytes(SHIPPED_MODEL.read_bytes())
        with pytest.raises(ModelError, match="SHA-256"):
            make_copy(generator)
        path.unlink()
        with pytest.raises(ModelError, match="there is no model"):
            make_copy(generator)
    with pytest.raises(InputError, match="closed"):
        make_copy(generator)


def _drop_a_row(graph: onnx.GraphProto) -> onnx.NodeProto:
    for name, value in (("first", 1), ("last", 2**31)):
        graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    return helper.make_node("Slice", ["images", "first", "last"], [IMAGE])


def _repeat_the_rows(_: onnx.GraphProto) -> onnx.NodeProto:
    return helper.make_node("Concat", ["images", "images"], [IMAGE], axis=0)


def _return_floats(graph: onnx.GraphProto) -> onnx.NodeProto:
    graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return helper.make_node("Cast", ["images"], [IMAGE], to=TensorProto.FLOAT)


@pytest.mark.parametrize("make_last_node", [_drop_a_row, _repeat_the_rows, _return_floats])
@pytest.mark.parametrize("count", [1, MAX_BATCH + 1])
def test_output_must_be_an_image_for_each_label(
    make_model: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_last_node: Callable[[onnx.GraphProto], onnx.NodeProto],
    count: int,
) -> None:
    """Graph validation rejects such a model; without it, the generator rejects the output."""

    def edit(graph: onnx.GraphProto) -> None:
        graph.node[-1].output[0] = "images"
        graph.node.append(make_last_node(graph))

    path = make_model(tmp_path / "m.onnx", edit=edit)
    valid = ValidModel("0" * 64, MAX_BATCH)
    monkeypatch.setattr("cgan_runtime.generator.validate_model", lambda *_: valid)
    info = SimpleNamespace(
        classes=10,
        class_names=tuple("0123456789"),
        noise_dim=6,
        image_shape=SHAPE,
    )
    monkeypatch.setattr("cgan_runtime.inference.session.read_info", lambda *_: info)
    with ImageGenerator(path, "cpu", threads=1) as generator:
        with pytest.raises(ModelError, match="export it again"):
            generator.generate([3] * count, seed=1)
        with pytest.raises(ModelError, match="export it again"):
            list(generator.stream([3], seed=1, count=count))
