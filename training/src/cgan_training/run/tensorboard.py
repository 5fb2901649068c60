"""TensorBoard's event files, for those who watch runs there: `cgan-train --tensorboard`."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from cgan_runtime.errors import OutputError
from cgan_training.errors import MissingExtraError


class TensorBoardWriter:
    """Writes figures and sheets of a run as TensorBoard's event files.

    Args:
        folder: where they go.
        epoch: the last one that is kept: what an earlier part of the run wrote of later ones is
            no longer shown.

    Raises:
        MissingExtraError: TensorBoard is not installed.
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, epoch: int = 0) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it looks for TensorFlow, aloud
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError(
                "TensorBoard is not installed; pip install 'cgan-training[tensorboard]', or leave "
                "--tensorboard out"
            ) from error
        try:
            self._writer: Any = SummaryWriter(str(folder), purge_step=epoch + 1)
        except OSError as error:
            raise OutputError(f"cannot write {folder}: {error.strerror}; make room") from error

    def add(self, metrics: Mapping[str, float], images: Tensor) -> None:
        """Write an epoch.

        Args:
            metrics: its figures by name; "epoch" is its number.
            images: its sheet, uint8 [n, 1, height, width].
        """
        epoch = int(metrics["epoch"])
        for name, figure in metrics.items():
            if name != "epoch":
                self._writer.add_scalar(name, figure, epoch)
        columns = max(1, round(len(images) ** 0.5))
        rows = len(images) // columns
        tiles = images[: rows * columns].cpu().unflatten(0, (rows, columns))[:, :, 0]
        page = tiles.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)  # [rows * h, columns * w]
        self._writer.add_image("sheet", page, epoch, dataformats="HW")
        self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        self._writer.close()
