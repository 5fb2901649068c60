"""ImageGenerator, the public API: labels in, images out."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cgan_runtime.errors import InputError, ModelError
from cgan_runtime.inference.native_errors import convert_run_error, is_native
from cgan_runtime.inference.session import read_session_info
from cgan_runtime.inference.session_pool import SessionPool
from cgan_runtime.inference.single_image import SingleImageGenerator
from cgan_runtime.labels import Labels, label_batches, parse_labels, single_label
from cgan_runtime.model_file.checksum import parse_sha256, require_sha256
from cgan_runtime.model_file.contract import IMAGE, LABEL, MAX_BATCH, NOISE
from cgan_runtime.model_file.reading import SHIPPED_MODEL, read_model_file
from cgan_runtime.model_file.validation.graph_validation import validate_model
from cgan_runtime.noise import (
    check_seed_and_start,
    interpolate,
    parse_noise,
    require_integer,
    standard_normal,
)
from cgan_runtime.providers import CPU
from cgan_runtime.thread_limit import MAX_THREADS

MAX_STREAM_BATCH = 2**31 - 1  # images; the available memory may allow fewer
# f(first, count) returns the noise of images first to first + count - 1 of a call or run, counted
# from 0: float32 [count, noise_dim].
NoiseFunction: TypeAlias = Callable[[int, int], NDArray[np.float32]]


class Batch(NamedTuple):
    """One batch of images that ImageGenerator.stream() yields."""

    start: int  # index of the first image; the indices are consecutive
    labels: NDArray[np.int64]  # [n]
    images: NDArray[np.uint8]  # [n, channels, height, width]; channels 1 (gray) or 3 (RGB)


class ImageGenerator:
    """Generates images with a model that cgan-export wrote.

    Several threads, signal handlers and forked processes may use one generator. A forked process
    opens new sessions, which fails with CUDA (ProviderError). A pickled generator contains the path
    of the model file; unpickling opens this file again, which must have an unchanged SHA-256.

    Args:
        model: path of the .onnx file; None uses the model in this package.
        provider: name of a provider of the installed onnxruntime, such as "cpu" or "cuda", with or
            without the suffix "ExecutionProvider". Options follow a colon, such as
            "cuda:device_id=1". "auto" uses CUDA if a session gets it, otherwise the CPU.
        threads: maximum number of threads of the CPU provider, 1 to 1024; None uses one thread per
            CPU of the process. Small batches of a small model use one thread, which is faster.
        expect_sha256: required SHA-256 of the whole file, 64 hexadecimal digits. The checksum in
            the file only detects damage; this argument detects a replaced file.

    Attributes:
        info: metadata of the model; still available after close().
        model_path: path of the model file.
        model_size: size of the model file in bytes.
        model_sha256: SHA-256 of the model file, in hexadecimal.

    Raises:
        InstallError: onnxruntime is not installed.
        ModelError: the file is missing or damaged, breaks the contract, or differs from
            expect_sha256.
        ProviderError: the session did not get the provider.
        InputError: threads is out of range, or expect_sha256 is not a SHA-256.
        CganError: onnxruntime cannot start a thread.
        MemoryError: there is not enough memory.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        provider: str = "auto",
        threads: int | None = None,
        *,
        expect_sha256: str | None = None,
    ) -> None:
        if threads is not None:
            threads = require_integer("threads", threads)
            if not 1 <= threads <= MAX_THREADS:
                raise InputError(f"threads is {threads}; give 1 to {MAX_THREADS}")
        expected = None if expect_sha256 is None else parse_sha256(expect_sha256)
        self.model_path = SHIPPED_MODEL if model is None else Path(model)
        # For pickling: the process that unpickles may have a different working directory, or this
        # package in a different place.
        path = None if model is None else self.model_path.absolute()
        self._arguments = path, provider, threads
        content = read_model_file(self.model_path)
        self.model_size = len(content)
        source = str(self.model_path)
        if expected is not None:
            require_sha256(content, expected, source)
        self.model_sha256, self._max_batch = validate_model(content, source)
        sessions = SessionPool(content, source, provider, threads, self._max_batch)
        self.info = read_session_info(sessions.main, content, source)
        self._sessions: SessionPool | None = sessions
        is_cpu = sessions.provider == CPU and sessions.fixed_batch_size is None
        self._single = SingleImageGenerator(sessions, self.info, source) if is_cpu else None

    @property
    def provider(self) -> str:
        """Provider that the session uses, such as "cpu" or "cuda"."""
        return self._open_sessions().provider

    @property
    def no_cuda_reason(self) -> str | None:
        """Why provider "auto" does not use CUDA although onnxruntime offers it, otherwise None."""
        return self._open_sessions().no_cuda_reason

    @property
    def node_counts(self) -> dict[str, int]:
        """Number of graph nodes that each provider computes, by the provider's name.

        Empty if the session's provider is the CPU, or if the assignment is unknown.
        """
        return self._open_sessions().node_counts

    def noise(
        self, seed: SupportsIndex, start: SupportsIndex = 0, count: SupportsIndex = 1
    ) -> NDArray[np.float32]:
        """Return the noise of images start to start + count - 1 of a seed.

        Returns:
            float32 [count, noise_dim], multiples of 1/32 within +-127/32.

        Raises:
            InputError: an argument is out of range, as for generate().
        """
        return standard_normal(seed, start, count, self.info.noise_dim)

    def generate(
        self,
        labels: Labels,
        *,
        seed: SupportsIndex | None = None,
        start: SupportsIndex = 0,
        noise: NDArray[Any] | None = None,
    ) -> NDArray[np.uint8]:
        """Generate one image for each label, from the noise of a seed or from your own noise.

        Image i depends on the model, the seed, its label and i, but not on the other images of a
        call. So generate(labels[n:], seed=s, start=n) equals generate(labels, seed=s)[n:].
        generate(labels, noise=noise(s, 0, len(labels))) equals generate(labels, seed=s).

        Args:
            labels: one class index or class name, or a one-dimensional sequence of indices or of
                names, such as an integer array. Indices are 0 <= label < classes. Names are from
                info.class_names; case is ignored unless two names differ only in case.
            seed: 0 <= seed < 2**64.
            start: index of the first image, 0 <= start < 2**63.
            noise: your own noise, instead of seed and start: finite numbers [n, noise_dim], or
                [1, noise_dim] to use one noise vector for all images. Only multiples of 1/32
                within +-127/32 give the same bytes on every processor.

        Returns:
            uint8 [n, channels, height, width]; channels 1 (gray) or 3 (RGB).

        Raises:
            InputError: the model lacks a label, labels mix indices and names, the seed or start is
                out of range, the noise has an unexpected shape or is not finite, or the generator
                is closed.
            ModelError: onnxruntime cannot run the model, or the output is not one image per label.
            ProviderError: this process was forked and cannot use the provider of its parent.
        """
        if noise is not None:
            if seed is not None or start != 0:
                raise InputError("noise replaces seed and start; give only one of them")
            indices, sessions = parse_labels(labels, self.info.class_names), self._open_sessions()
            rows = parse_noise(noise, len(indices), self.info.noise_dim)
            return self._generate_batch(
                sessions,
                indices,
                lambda first, count: np.ascontiguousarray(rows[first : first + count]),
            )
        if seed is None:
            raise InputError("generate() has neither seed nor noise; give one of them")
        single = self._single  # read once, because another thread may call close() at any time
        if single and (label := single_label(labels, self.info.classes)) is not None:
            return single.generate(label, *check_seed_and_start(seed, start, 1))
        indices = parse_labels(labels, self.info.class_names)
        sessions = self._open_sessions()
        seed, first = check_seed_and_start(seed, start, len(indices))
        return self._generate_batch(sessions, indices, self._noise_function(seed, first))

    def interpolate(
        self, labels: Labels, seed_a: SupportsIndex, seed_b: SupportsIndex, frames: SupportsIndex
    ) -> NDArray[np.uint8]:
        """Generate frames of images while the noise changes from one seed to another.

        The first frame equals generate(labels, seed=seed_a), and the last one equals
        generate(labels, seed=seed_b). In between, the noise is interpolated spherically and
        rounded to multiples of 1/32.

        Args:
            labels: as for generate().
            seed_a: 0 <= seed_a < 2**64.
            seed_b: 0 <= seed_b < 2**64.
            frames: number of frames, 2 or more.

        Returns:
            uint8 [frames, n, channels, height, width].

        Raises:
            InputError: as for generate(), or there are fewer than two frames.
        """
        count = require_integer("frames", frames)
        if count < 2:
            raise InputError(f"frames is {count}; give 2 or more")
        indices = parse_labels(labels, self.info.class_names)
        first, last = (self.noise(seed, 0, len(indices)) for seed in (seed_a, seed_b))
        return np.stack(
            [
                self.generate(indices, noise=interpolate(first, last, frame / (count - 1)))
                for frame in range(count)
            ]
        )

    def stream(
        self,
        labels: Labels,
        *,
        seed: SupportsIndex,
        count: SupportsIndex,
        start: SupportsIndex = 0,
        batch_size: SupportsIndex = MAX_BATCH,
    ) -> Iterator[Batch]:
        """Generate any number of images in batches, with constant memory use.

        The labels are repeated in order: image start + j has labels[j % len(labels)]. The images
        equal those of generate() for the repeated labels.

        Args:
            labels: as for generate(), at least one.
            seed: 0 <= seed < 2**64.
            count: number of repetitions of the labels, 0 or more.
            start: index of the first image, 0 <= start, start + count * len(labels) <= 2**63.
            batch_size: number of images per batch, 1 to 2**31 - 1; the last batch may have fewer.

        Raises:
            InputError: as for generate(), or a value is out of range. The call raises it, before
                the first batch is requested.
            ModelError: onnxruntime cannot run the model. The iterator raises it.
        """
        indices, sessions = parse_labels(labels, self.info.class_names), self._open_sessions()
        total = require_integer("count", count) * len(indices)
        seed, first = check_seed_and_start(seed, start, total)
        size = require_integer("batch_size", batch_size)
        if not 1 <= size <= MAX_STREAM_BATCH:
            raise InputError(f"batch_size is {size}; give 1 to {MAX_STREAM_BATCH}")
        if not indices.size:
            raise InputError("labels is empty; give at least one label")

        def batches() -> Iterator[Batch]:
            for position, batch in label_batches(indices, range(total), size):
                noise_function = self._noise_function(seed, first + position)
                images = self._generate_batch(sessions, batch, noise_function)
                yield Batch(first + position, batch, images)

        return batches()

    def _generate_batch(
        self, sessions: SessionPool, labels: NDArray[np.int64], noise_function: NoiseFunction
    ) -> NDArray[np.uint8]:
        """Generate images in session runs of at most the batch size that validation allows."""
        size = sessions.fixed_batch_size or self._max_batch
        if 0 < len(labels) <= size:
            return self._run(sessions, labels, noise_function(0, len(labels)))
        images = np.empty((len(labels), *self.info.image_shape), np.uint8)
        for first in range(0, len(labels), size):
            part = labels[first : first + size]
            noise = noise_function(first, len(part))
            images[first : first + len(part)] = self._run(sessions, part, noise)
        return images

    def _run(
        self, sessions: SessionPool, labels: NDArray[np.int64], noise: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        count = len(labels)
        # A provider with a fixed batch size accepts no other one, so the last batch is padded.
        if missing := (sessions.fixed_batch_size or count) - count:
            labels, noise = np.pad(labels, (0, missing)), np.pad(noise, ((0, missing), (0, 0)))
        session = sessions.for_batch(len(labels))
        source, expected = str(self.model_path), (len(labels), *self.info.image_shape)
        try:
            images: NDArray[np.uint8] = session.run([IMAGE], {NOISE: noise, LABEL: labels})[0]
        except Exception as error:  # onnxruntime's exceptions have no other common base class
            if not is_native(error):
                raise
            raise convert_run_error(error, source) from error
        if images.dtype != np.uint8 or images.shape != expected:
            raise ModelError(
                f"{source} returned {images.dtype} {list(images.shape)} for {len(labels)} labels "
                f"instead of uint8 {list(expected)}; export it again"
            )
        return images[:count]

    def _noise_function(self, seed: int, start: int) -> NoiseFunction:
        """Return the function that computes the noise of a seed; it counts from image start."""
        return lambda first, count: self.noise(seed, start + first, count)

    def _open_sessions(self) -> SessionPool:
        if self._sessions is None:
            raise InputError("this ImageGenerator is closed; create a new one")
        return self._sessions

    def close(self) -> None:
        """Release the sessions."""
        self._sessions = self._single = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Describe for copy and pickle how to open the same model file again."""
        self._open_sessions()
        return partial(type(self), expect_sha256=self.model_sha256), self._arguments

    def __enter__(self) -> "ImageGenerator":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
