from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cgan_runtime.cli.generate import share
from cgan_runtime.errors import CganError, InputError
from cgan_runtime.generator import LARGEST_BATCH, ImageGenerator
from cgan_runtime.model_file.contract import ModelInfo

Images = NDArray[np.uint8]
SHAPE = (1, 12, 9)  # the tiny model's, which no constant of the runtime knows


def differ_by_a_grey_level_at_most(found: Images, wanted: Images) -> bool:
    return found.shape == wanted.shape and bool(
        (np.abs(found.astype(int) - wanted.astype(int)) <= 1).all()
    )


@pytest.fixture(scope="session")
def generators(tiny_model: Path) -> Mapping[int, ImageGenerator]:
    """One a number of threads."""
    return {threads: ImageGenerator(tiny_model, "cpu", threads) for threads in (1, 2, 5)}


@pytest.fixture(scope="session")
def shipped() -> Mapping[int, ImageGenerator]:
    """The same with the model that ships."""
    return {threads: ImageGenerator(None, "cpu", threads) for threads in (1, 2, 5)}


def test_the_model_says_its_sizes(generator: ImageGenerator, info: ModelInfo) -> None:
    assert generator.info == info
    assert generator.info.classes == 10
    assert generator.provider == "cpu"


def test_the_golden_sample_is_drawn(generator: ImageGenerator, info: ModelInfo) -> None:
    golden = np.frombuffer(info.golden.images, np.uint8).reshape(-1, *SHAPE)
    drawn = generator.generate(info.golden.labels, seed=info.golden.seed)
    assert differ_by_a_grey_level_at_most(drawn, golden)


def test_label_seed_and_index_each_matter(generator: ImageGenerator) -> None:
    images = [
        *generator.generate([3, 3, 4], seed=7),
        *generator.generate([3, 3], seed=8),
        *generator.generate([3, 3], seed=7, start=2),
    ]
    assert len({image.tobytes() for image in images}) == len(images)
    assert all(image.any() for image in images)


def test_the_same_call_draws_the_very_same(generator: ImageGenerator, tiny_model: Path) -> None:
    labels = [label % 10 for label in range(300)]
    first = generator.generate(labels, seed=2**64 - 1, start=2**40)
    again = generator.generate(labels, seed=2**64 - 1, start=2**40)
    other = ImageGenerator(tiny_model, "cpu", 1).generate(labels, seed=2**64 - 1, start=2**40)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(other, first)


@given(
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    seed=st.integers(0, 2**64 - 1),
    start=st.integers(0, 2**63 - 41),
    threads=st.sampled_from([1, 2, 5]),
)
@settings(deadline=None, max_examples=60)
def test_an_image_is_the_same_whatever_is_drawn_beside_it(
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
    assert differ_by_a_grey_level_at_most(np.concatenate(parts), whole)


def test_more_labels_than_a_batch_takes(generator: ImageGenerator) -> None:
    labels = np.arange(2 * LARGEST_BATCH + 5) % 10
    images = generator.generate(labels, seed=3, start=11)
    assert images.shape == (len(labels), *SHAPE)
    for index in (0, LARGEST_BATCH - 1, LARGEST_BATCH, 2 * LARGEST_BATCH - 1, len(labels) - 1):
        alone = generator.generate(int(labels[index]), seed=3, start=11 + index)
        assert differ_by_a_grey_level_at_most(alone, images[index : index + 1])


@given(
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=7),
    count=st.integers(0, 40),
    batch_size=st.integers(1, 45),
    seed=st.integers(0, 2**64 - 1),
    start=st.integers(0, 2**63 - 41),
    threads=st.sampled_from([1, 2, 5]),
)
@settings(deadline=None, max_examples=60)
def test_a_stream_is_what_generate_draws(
    generators: Mapping[int, ImageGenerator],
    labels: list[int],
    count: int,
    batch_size: int,
    seed: int,
    start: int,
    threads: int,
) -> None:
    wanted = [labels[index % len(labels)] for index in range(count)]
    whole = generators[1].generate(wanted, seed=seed, start=start)
    batches = list(
        generators[threads].stream(
            labels, seed=seed, count=count, start=start, batch_size=batch_size
        )
    )
    sizes = [len(batch.images) for batch in batches]
    assert sum(sizes) == count
    assert all(size == batch_size for size in sizes[:-1])
    assert [batch.start for batch in batches] == [
        start + batch_size * number for number in range(len(batches))
    ]
    if batches:
        assert np.concatenate([batch.labels for batch in batches]).tolist() == wanted
        drawn = np.concatenate([batch.images for batch in batches])
        assert differ_by_a_grey_level_at_most(drawn, whole)


@given(
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=30),
    batch_size=st.integers(1, 31),
    shards=st.integers(1, 5),
    seed=st.integers(0, 2**64 - 1),
    start=st.integers(0, 2**63 - 100),
    threads=st.sampled_from([1, 2, 5]),
)
@settings(deadline=None, max_examples=60)
def test_the_model_that_ships_draws_the_very_same_bytes(
    shipped: Mapping[int, ImageGenerator],
    labels: list[int],
    batch_size: int,
    shards: int,
    seed: int,
    start: int,
    threads: int,
) -> None:
    """It is int8: no sum depends on its order."""
    count = 2 * len(labels) + 1
    whole = shipped[1].generate((labels * 3)[:count], seed=seed, start=start)
    parts = []
    for which in range(1, shards + 1):
        try:
            first, size = share(count, (which, shards))
        except InputError:  # more shards than images
            continue
        turn = first % len(labels)
        parts += [
            batch.images
            for batch in shipped[threads].stream(
                labels[turn:] + labels[:turn],
                seed=seed,
                count=size,
                start=start + first,
                batch_size=batch_size,
            )
        ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"count": -1}, "out of range"),
        ({"count": 2**63 + 1}, "out of range"),
        ({"count": 1.5}, "count is 1.5; give a whole number"),
        ({"batch_size": 0}, "batch_size is 0; give 1 to 2147483647"),
        ({"labels": []}, "no labels to draw"),
        ({"labels": [10]}, "no label 10"),
        ({"seed": -1}, "seed -1 is out of range"),
    ],
)
def test_a_stream_refuses_at_once(
    generator: ImageGenerator, wrong: dict[str, Any], words: str
) -> None:
    arguments: dict[str, Any] = {"labels": [1], "seed": 7, "count": 3}
    with pytest.raises(InputError, match=words):
        generator.stream(**arguments | wrong)


def test_a_stream_outlives_its_generator(tiny_model: Path) -> None:
    with ImageGenerator(tiny_model, "cpu") as generator:
        stream = generator.stream([1, 2], seed=7, count=5, batch_size=2)
        wanted = generator.generate([1, 2, 1, 2, 1], seed=7)
    drawn = np.concatenate([batch.images for batch in stream])
    assert differ_by_a_grey_level_at_most(drawn, wanted)
    with pytest.raises(InputError, match="closed"):
        generator.stream([1], seed=7, count=1)


@pytest.mark.parametrize(
    ("seed", "start"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**63), (0, 2**63 - 1)]
)
def test_a_seed_or_start_out_of_range(generator: ImageGenerator, seed: int, start: int) -> None:
    with pytest.raises(InputError, match="out of range"):
        generator.generate([3, 4], seed=seed, start=start)


@pytest.mark.parametrize(("seed", "start"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**63 + 1)])
def test_a_seed_or_start_out_of_range_for_no_images(
    generator: ImageGenerator, seed: int, start: int
) -> None:
    with pytest.raises(InputError, match="out of range"):
        generator.generate([], seed=seed, start=start)


@pytest.mark.parametrize("number", [np.int64, np.uint32])
def test_seed_and_start_as_numpys_numbers(generator: ImageGenerator, number: Any) -> None:
    start = int(np.iinfo(number).max) - 5
    found = generator.generate([3, 4], seed=number(7), start=number(start))
    np.testing.assert_array_equal(found, generator.generate([3, 4], seed=7, start=start))


@pytest.mark.parametrize("threads", [0, -1, 1025, 10**12])
def test_threads_out_of_range(tiny_model: Path, threads: int) -> None:
    with pytest.raises(InputError, match=f"threads is {threads}; "):
        ImageGenerator(tiny_model, "cpu", threads)


def test_drawing_prints_nothing(tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ImageGenerator(tiny_model) as generator:
        generator.generate(range(10), seed=0)
    assert capfd.readouterr() == ("", "")


def test_many_threads_at_once(generator: ImageGenerator) -> None:
    calls = [([label % 10] * (label + 1), label % 3, label) for label in range(48)]

    def draw(call: tuple[list[int], int, int]) -> Images:
        labels, seed, start = call
        return generator.generate(labels, seed=seed, start=start)

    alone = [draw(call) for call in calls]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(draw, calls))
    for found, wanted in zip(together, alone, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_block_closes_its_generator(tiny_model: Path) -> None:
    with ImageGenerator(tiny_model, "cpu", threads=1) as generator:
        assert isinstance(generator, ImageGenerator)
        assert generator.generate(3, seed=0).shape == (1, *SHAPE)
    assert_closed(generator, [3], [])


def test_a_block_that_fails_closes_its_generator_too(tiny_model: Path) -> None:
    generator = ImageGenerator(tiny_model, "cpu", threads=1)
    with pytest.raises(ZeroDivisionError), generator:
        raise ZeroDivisionError
    assert_closed(generator, [3])


def test_closing_twice(tiny_model: Path) -> None:
    generator = ImageGenerator(tiny_model, "cpu", threads=1)
    generator.close()
    generator.close()
    assert_closed(generator, [3])


def test_a_closed_generator_has_no_provider(tiny_model: Path) -> None:
    generator = ImageGenerator(tiny_model, "cpu", threads=1)
    generator.close()
    with pytest.raises(CganError, match="closed"):
        _ = generator.provider


def assert_closed(generator: ImageGenerator, *calls: Iterable[int]) -> None:
    for labels in calls:
        with pytest.raises(CganError, match="closed"):
            generator.generate(list(labels), seed=0)
