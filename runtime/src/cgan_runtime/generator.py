"""ImageGenerator: labels in, images out."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, SupportsIndex, cast

import numpy as np
from numpy.typing import NDArray

from cgan_runtime.errors import InputError, ModelError
from cgan_runtime.inference.session import CPU, MOST_THREADS, run_session
from cgan_runtime.inference.session_pool import SessionPool
from cgan_runtime.inference.single_image import SingleImagePath
from cgan_runtime.labels import Labels, parse_labels, single_label
from cgan_runtime.model_file.checksum import parse_sha256, require_sha256
from cgan_runtime.model_file.contract import IMAGE, LABEL, NOISE, ModelInfo, Tensor, read_info
from cgan_runtime.model_file.graph_validation import MOST_BYTES, screen
from cgan_runtime.noise import check_seed_and_start, fill, require_integer

SHIPPED_MODEL = Path(__file__).with_name("models") / "digits.onnx"
LARGEST_BATCH = 1024  # images a session.run: bounds memory, and more are no faster
MOST_TOGETHER = 2**31 - 1  # images of a batch, memory permitting
PIECE = 2**20  # bytes of a file that are read at once


class Batch(NamedTuple):
    """What ImageGenerator.stream() yields: images that were drawn together."""

    start: int  # index of the first image; the others follow
    labels: NDArray[np.int64]  # [n]
    images: NDArray[np.uint8]  # [n, 1, height, width], 0 background .. 255 ink


class ImageGenerator:
    """Draws images with a model that cgan-export wrote.

    Args:
        model: path of the .onnx file; None takes the one that ships in this package.
        provider: "cpu", "cuda", another that the installed onnxruntime offers, by its name in lower
            case without "ExecutionProvider"; or "auto": CUDA where the session really gets it.
        threads: of the CPU provider at most; None takes one for each CPU of the process. For a few
            images of a small model one alone is faster, and is used.
        expect_sha256: of the whole file, 64 hexadecimal digits, where only that file will do. The
            seal tells damage; this tells a file that somebody else put there.

    Raises:
        InstallError: onnxruntime is not installed.
        ModelError: the file is missing, damaged, breaks the contract, or is not the expected one.
        ProviderError: the session did not get the provider.
        InputError: threads is out of range, or expect_sha256 is no hash.
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
            if not 1 <= threads <= MOST_THREADS:
                raise InputError(f"threads is {threads}; give 1 to {MOST_THREADS}")
        expected = None if expect_sha256 is None else parse_sha256(expect_sha256)
        self.model_path = SHIPPED_MODEL if model is None else Path(model)
        content = _read(self.model_path)
        source = str(self.model_path)
        if expected is not None:
            require_sha256(content, expected, source)
        self._sha256 = screen(content, source)
        sessions = SessionPool(content, source, provider, threads)
        self._info = read_info(
            sessions.main.get_modelmeta().custom_metadata_map,
            _described(sessions.main.get_inputs()),
            _described(sessions.main.get_outputs()),
            source,
        )
        self._sessions: SessionPool | None = sessions
        self._classes = len(self._info.class_names)
        on_cpu = sessions.provider == CPU
        self._single = SingleImagePath(sessions, self._info, source) if on_cpu else None

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        return self._info

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the model file, in hexadecimal."""
        return self._sha256

    @property
    def provider(self) -> str:
        """The provider that the session really got, such as "cpu" or "cuda"."""
        return self._open_sessions().provider

    def generate(
        self,
        labels: Labels,
        *,
        seed: SupportsIndex,
        start: SupportsIndex = 0,
    ) -> NDArray[np.uint8]:
        """Draw one image a label.

        Image number i of a seed is the same whatever is drawn beside it: drawing the second half
        of a list with start set to its index gives the same images as drawing all of it.

        Args:
            labels: what to draw: class indices, 0 <= label < classes, or names in
                info.class_names (where none is spelt so, in any case). One, or a one-dimensional
                sequence of either kind; or an integer array.
            seed: 0 <= seed < 2**64.
            start: index of the first image, 0 <= start < 2**63.

        Returns:
            uint8 [n, 1, height, width], 0 background .. 255 ink.

        Raises:
            InputError: the model lacks a label, labels mix numbers and names, the seed or start is
                out of range, or the generator is closed.
            ModelError: the model cannot be drawn with.
        """
        single = self._single
        if single is not None and (label := single_label(labels, self._classes)) is not None:
            return single.draw(label, *check_seed_and_start(seed, start, 1))
        wanted = parse_labels(labels, self._info.class_names)
        sessions = self._open_sessions()
        seed, first = check_seed_and_start(seed, start, len(wanted))
        if 0 < len(wanted) <= LARGEST_BATCH:
            return self._draw(sessions, wanted, seed, first)
        images = np.empty((len(wanted), 1, self._info.height, self._info.width), np.uint8)
        for done in range(0, len(wanted), LARGEST_BATCH):
            batch = wanted[done : done + LARGEST_BATCH]
            images[done : done + len(batch)] = self._draw(sessions, batch, seed, first + done)
        return images

    def stream(
        self,
        labels: Labels,
        *,
        seed: SupportsIndex,
        count: SupportsIndex,
        start: SupportsIndex = 0,
        batch_size: SupportsIndex = LARGEST_BATCH,
    ) -> Iterator[Batch]:
        """Draw any number of images, batch after batch, in memory that does not grow.

        The images are those of generate() for the labels again and again: image start + j has
        label j modulo their number.

        Args:
            labels: as of generate(), at least one.
            seed: 0 <= seed < 2**64.
            count: of images, 0 or more.
            start: index of the first image, 0 <= start, start + count <= 2**63.
            batch_size: images drawn together, 1 to 2**31 - 1; the last batch may be smaller.

        Raises:
            InputError: at once, as generate() does; also when an argument is out of its range.
        """
        wanted, sessions = parse_labels(labels, self._info.class_names), self._open_sessions()
        total = require_integer("count", count)
        seed, first = check_seed_and_start(seed, start, total)
        together = require_integer("batch_size", batch_size)
        if not 1 <= together <= MOST_TOGETHER:
            raise InputError(f"batch_size is {together}; give 1 to {MOST_TOGETHER}")
        if not wanted.size:
            raise InputError("there are no labels to draw; give at least one")

        def batches() -> Iterator[Batch]:
            for done in range(0, total, together):
                size = min(together, total - done)
                batch = wanted[
                    np.arange(done % len(wanted), done % len(wanted) + size) % len(wanted)
                ]
                yield Batch(first + done, batch, self._draw(sessions, batch, seed, first + done))

        return batches()

    def _draw(
        self, sessions: SessionPool, labels: NDArray[np.int64], seed: int, first: int
    ) -> NDArray[np.uint8]:
        noise = np.empty((len(labels), self._info.noise_dim), np.float32)
        fill(noise, seed, first)
        images: NDArray[np.uint8] = run_session(
            sessions.of(len(labels)), IMAGE, {NOISE: noise, LABEL: labels}, str(self.model_path)
        )
        return images

    def _open_sessions(self) -> SessionPool:
        if self._sessions is None:
            raise InputError("this ImageGenerator is closed; make another one")
        return self._sessions

    def close(self) -> None:
        """Let go of the sessions; the generator draws no more, and its info stays."""
        self._sessions = self._single = None

    def __enter__(self) -> "ImageGenerator":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _read(path: Path) -> bytes:
    if "\0" in str(path):
        raise ModelError(f"there is no model {str(path)!r}; check the path")
    try:
        with path.open("rb") as file:
            # A device may have no end. Reading as much as any model may hold would claim that much.
            pieces = iter(lambda: file.read(PIECE), b"")
            content = b"".join(islice(pieces, MOST_BYTES // PIECE + 1))
    except FileNotFoundError as error:
        raise ModelError(
            f"there is no model {path}; check the path, or leave it out for the one that ships"
        ) from error
    except OSError as error:
        raise ModelError(
            f"cannot read the model {path}: {error.strerror}; check the path"
        ) from error
    if not content:
        raise ModelError(f"{path} is empty; copy or export it again")
    if len(content) > MOST_BYTES:
        raise ModelError(
            f"{path} is larger than any model may be ({MOST_BYTES:,} bytes); check the path"
        )
    return content


def _described(arguments: Sequence[Any]) -> list[Tensor]:
    return [Tensor(cast(str, each.name), each.type, each.shape) for each in arguments]
