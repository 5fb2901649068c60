"""DigitGenerator: labels in, images out."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsIndex, cast

import numpy as np
from numpy.typing import NDArray

from cgan_runtime.contract import IMAGE, LABEL, NOISE, ModelInfo, Tensor, read_info
from cgan_runtime.errors import InputError, ModelError
from cgan_runtime.labels import Labels, label_numbers, single_label
from cgan_runtime.noise import checked_origin, standard_normal
from cgan_runtime.session import MOST_THREADS, PROVIDERS, open_session
from cgan_runtime.single import SingleImage

SHIPPED_MODEL = Path(__file__).with_name("models") / "digits.onnx"
LARGEST_BATCH = 1024  # images a session.run: bounds memory, and more are no faster


class DigitGenerator:
    """Draws images with a model that cgan-export wrote.

    Args:
        model: path of the .onnx file; None takes the one that ships in this package.
        provider: "cpu", "cuda", or "auto": CUDA where the session really gets it.
        threads: of the CPU provider; None takes one for each CPU of the process.

    Raises:
        InstallError: onnxruntime is not installed.
        ModelError: the file is missing, damaged or breaks the contract.
        ProviderError: the session did not get the provider.
        InputError: threads is out of range.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        provider: str = "auto",
        threads: int | None = None,
    ) -> None:
        if threads is not None and not 1 <= threads <= MOST_THREADS:
            raise InputError(f"threads is {threads}; give 1 to {MOST_THREADS}")
        self.model_path = SHIPPED_MODEL if model is None else Path(model)
        content = _read(self.model_path)
        source = str(self.model_path)
        self._session = open_session(content, source, provider, threads)
        self._info = read_info(
            self._session.get_modelmeta().custom_metadata_map,
            _described(self._session.get_inputs()),
            _described(self._session.get_outputs()),
            source,
        )
        on_cpu = self.provider == "cpu"
        self._single = SingleImage(self._session, self._info) if on_cpu else None

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        return self._info

    @property
    def provider(self) -> str:
        """The provider that the session really got: "cpu" or "cuda"."""
        names = {name: short for short, name in PROVIDERS.items()}
        return names[self._open_session().get_providers()[0]]

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
        """
        class_names = self._info.class_names
        label = single_label(labels, len(class_names))
        if label is not None and self._single is not None:
            return self._single.draw(label, *checked_origin(seed, start, 1))
        wanted, session = label_numbers(labels, class_names), self._open_session()
        seed, first = checked_origin(seed, start, len(wanted))
        if 0 < len(wanted) <= LARGEST_BATCH:
            return self._draw(session, wanted, seed, first)
        images = np.empty((len(wanted), 1, self._info.height, self._info.width), np.uint8)
        for done in range(0, len(wanted), LARGEST_BATCH):
            batch = wanted[done : done + LARGEST_BATCH]
            images[done : done + len(batch)] = self._draw(session, batch, seed, first + done)
        return images

    def _draw(
        self, session: Any, labels: NDArray[np.int64], seed: int, first: int
    ) -> NDArray[np.uint8]:
        noise = standard_normal(seed, first, len(labels), self._info.noise_dim)
        images: NDArray[np.uint8] = session.run([IMAGE], {NOISE: noise, LABEL: labels})[0]
        return images

    def _open_session(self) -> Any:
        if self._session is None:
            raise InputError("this DigitGenerator is closed; make another one")
        return self._session

    def close(self) -> None:
        """Let go of the session; the generator draws no more, and its info stays."""
        self._session = self._single = None

    def __enter__(self) -> "DigitGenerator":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
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
    return content


def _described(arguments: Sequence[Any]) -> list[Tensor]:
    return [Tensor(cast(str, each.name), each.type, each.shape) for each in arguments]
