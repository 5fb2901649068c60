"""What `cgan-eval --output` draws."""

from collections.abc import Sequence
from io import BytesIO

import torch
from torch import Tensor

from cgan_export.evaluation.evaluator import Evaluation
from cgan_training.pictures.matplotlib_style import plain_text_style
from cgan_training.pictures.sample_sheet import sheet

DOTS_PER_INCH = 100
PAIRS = 5  # a class, of drawn image and nearest training image


@plain_text_style()
def confusion_picture(evaluation: Evaluation, class_names: Sequence[str], title: str) -> bytes:
    """Draw what was asked for against what the judge read, as the bytes of a PNG."""
    from matplotlib.figure import Figure

    counts = evaluation.confusion
    figure = Figure(figsize=(7, 6.5), layout="constrained")
    axes = figure.subplots()
    # Nearly all lie on the diagonal: colours are for what does not.
    off = [[0 if i == j else n for j, n in enumerate(row)] for i, row in enumerate(counts)]
    most = max(1, *(max(row) for row in off))
    axes.imshow(off, cmap="Oranges", vmin=0, vmax=most)
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            if count:
                ink = "white" if off[i][j] > 0.6 * most else "black"
                axes.text(j, i, f"{count:,}", ha="center", va="center", fontsize=9, color=ink)
    places = range(len(class_names))
    axes.set_xticks(places, class_names, rotation=45 if max(map(len, class_names)) > 2 else 0)
    axes.set_yticks(places, class_names)
    axes.set(xlabel="read by the judge", ylabel="asked for", title=title)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()


def nearest_picture(
    evaluation: Evaluation, train: Tensor, class_names: Sequence[str], title: str
) -> bytes:
    """Lay drawn images beside their nearest training images: two columns a class, as a PNG.

    Args:
        evaluation: whose first images of each class are shown.
        train: the training images, uint8 [m, 1, height, width].
        class_names: one a label.
        title: a line below.
    """
    columns, names = [], []
    for label, name in enumerate(class_names):
        mine = (evaluation.labels == label).nonzero().squeeze(1)[:PAIRS]
        columns += [evaluation.images[mine], train[evaluation.nearest[mine]]]
        names += [name, "near"]
    rows = min(len(column) for column in columns)
    images = torch.stack([column[:rows] for column in columns], dim=1).flatten(0, 1)
    return sheet(images, names, title)


def sheet_picture(evaluation: Evaluation, class_names: Sequence[str], title: str) -> bytes:
    """Lay out the first drawn images of each class, a column each, as the bytes of a PNG."""
    columns = [
        evaluation.images[evaluation.labels == label][:10] for label in range(len(class_names))
    ]
    rows = min(len(column) for column in columns)
    images = torch.stack([column[:rows] for column in columns], dim=1).flatten(0, 1)
    return sheet(images, class_names, title)
