"""Write the metrics and sample sheets of a run as TensorBoard event files."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from cgan_runtime.errors import OutputError
from cgan_training.errors import MissingExtraError


class TensorBoardWriter:
    """Writes TensorBoard event files.

    Args:
        folder: where to write them.
        epoch: number of completed epochs. TensorBoard hides what an earlier part of the run wrote
            about later epochs.

    Raises:
        MissingExtraError: TensorBoard is not installed.
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, epoch: int = 0) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it warns where TensorFlow is missing
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError(
                "TensorBoard is not installed; pip install 'cgan-training[tensorboard]', or omit "
                "--tensorboard"
            ) from error
        try:
            self._writer: Any = SummaryWriter(str(folder), purge_step=epoch + 1)
        except OSError as error:
            raise OutputError(
                f"cannot write {folder}: {error.strerror}; free some space"
            ) from error

    def add(self, metrics: Mapping[str, float], images: Tensor) -> None:
        """Write the results of an epoch.

        Args:
            metrics: numbers by name; "epoch" is the epoch's number.
            images: the images of its sample sheet, uint8 [n, 1, height, width].
        """
        epoch = int(metrics["epoch"])
        for name, value in metrics.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, epoch)
        columns = max(1, round(len(images) ** 0.5))
        rows = len(images) // columns
        grid = images[: rows * columns].cpu().unflatten(0, (rows, columns))[:, :, 0]
        page = grid.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)  # [rows * height, columns * width]
        self._writer.add_image("sheet", page, epoch, dataformats="HW")
        self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        self._writer.close()
