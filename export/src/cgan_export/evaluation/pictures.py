"""Render the pictures of `cgan-eval --output` as PNG."""

from collections.abc import Sequence
from io import BytesIO

import torch
from torch import Tensor

from cgan_export.evaluation.evaluator import Evaluation
from cgan_training.pictures import plain_text_style
from cgan_training.pictures.sample_sheet import draw_sample_sheet

DOTS_PER_INCH = 100
SHEET_ROWS = 10
NEAREST_ROWS = 5


@plain_text_style()
def confusion_picture(evaluation: Evaluation, class_names: Sequence[str], title: str) -> bytes:
    """Plot the confusion matrix of the evaluation classifier."""
    from matplotlib.figure import Figure

    counts = evaluation.confusion
    figure = Figure(figsize=(7, 6.5), layout="constrained")
    axes = figure.subplots()
    # The diagonal holds nearly all images. Only the errors are colored, so that they are visible.
    errors = [[0 if i == j else n for j, n in enumerate(row)] for i, row in enumerate(counts)]
    max_errors = max(1, *(max(row) for row in errors))
    axes.imshow(errors, cmap="Oranges", vmin=0, vmax=max_errors)
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            if count:
                color = "white" if errors[i][j] > 0.6 * max_errors else "black"
                axes.text(j, i, f"{count:,}", ha="center", va="center", fontsize=9, color=color)
    ticks = range(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=45 if max(map(len, class_names)) > 2 else 0)
    axes.set_yticks(ticks, class_names)
    axes.set(xlabel="predicted label", ylabel="requested label", title=title)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()


def nearest_picture(
    evaluation: Evaluation, train: Tensor, class_names: Sequence[str], title: str
) -> bytes:
    """Show generated images beside their nearest training images, two columns per class.

    Args:
        evaluation: the evaluated images; the first of each class are shown.
        train: the training images, uint8 [m, channels, height, width].
        class_names: one per label.
        title: a line below the images.
    """
    columns, names = [], []
    for label, name in enumerate(class_names):
        indices = (evaluation.labels == label).nonzero().squeeze(1)[:NEAREST_ROWS]
        columns += [evaluation.images[indices], train[evaluation.nearest[indices]]]
        names += [name, "near"]
    return _columns_picture(columns, names, title)


def sheet_picture(evaluation: Evaluation, class_names: Sequence[str], title: str) -> bytes:
    """Show the first generated images of each class, one column per class."""
    columns = [
        evaluation.images[evaluation.labels == label][:SHEET_ROWS]
        for label in range(len(class_names))
    ]
    return _columns_picture(columns, class_names, title)


def _columns_picture(columns: Sequence[Tensor], names: Sequence[str], title: str) -> bytes:
    """Lay out columns of images. Shorter columns are filled with white images."""
    rows = max(len(column) for column in columns)
    padded = [
        torch.cat([column, column.new_full((rows - len(column), *column.shape[1:]), 255)])
        for column in columns
    ]
    images = torch.stack(padded, dim=1).flatten(0, 1)
    return draw_sample_sheet(images, names, title)
