"""Write the metrics and sample sheets of a run as TensorBoard event files."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from cgan_training.engine.finished_generator import SAMPLE_ROWS
from cgan_training.errors import MissingExtraError


def require_tensorboard() -> None:
    """Import TensorBoard, or raise MissingExtraError if it is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # silences warnings about TensorFlow
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "TensorBoard is not installed; pip install 'cgan-training[tensorboard]', or omit "
            "--tensorboard"
        ) from error


def open_tensorboard(folder: Path, epoch: int) -> Any:
    """Return a SummaryWriter of a run with the given number of completed epochs.

    If files of the run already contain later epochs, TensorBoard hides these epochs.

    Raises:
        OSError: the folder cannot be written.
    """
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=epoch + 1)


def add_epoch(writer: Any, metrics: Mapping[str, float], images: Tensor) -> None:
    """Write the metrics of an epoch, and its sample sheet with one column per class.

    The images of the sheet are uint8 [SAMPLE_ROWS * classes, channels, height, width], row by row.
    """
    epoch = int(metrics["epoch"])
    for name, value in metrics.items():
        if name != "epoch":
            writer.add_scalar(name, value, epoch)
    grid = images.cpu().unflatten(0, (SAMPLE_ROWS, -1))  # [rows, columns, channels, height, width]
    page = grid.permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2)  # [channels, height, width]
    writer.add_image("sheet", page, epoch, dataformats="CHW")
    writer.flush()
