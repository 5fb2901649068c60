"""Indexing by label without batch indices: what is replaced, and what is left."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cgan_export.tracing.label_indexing import replace_batch_indices

Form = Callable[[Tensor, Tensor], Tensor]


class Selecting(nn.Module):
    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        return self.form(noise.view(-1, 4, 3), label)


def without(form: Form) -> nn.Module | None:
    inputs = torch.zeros(3, 12), torch.zeros(3).long()
    batch = torch.export.Dim("batch", min=1)
    shapes = {"noise": {0: batch}, "label": {0: batch}}
    with torch.no_grad():
        return replace_batch_indices(
            torch.export.export(Selecting(form), inputs, dynamic_shapes=shapes, strict=False)
        )


def written(features: Tensor, label: Tensor) -> Tensor:
    result = features.clone()
    result[torch.arange(label.shape[0]), label] = 7
    return result


def written_with_vectors(features: Tensor, label: Tensor) -> Tensor:
    result = torch.zeros(label.shape[0], 2, 4)
    result[torch.arange(0, label.shape[0]), :, label] = features[:, 0, :2]
    return result


@pytest.mark.parametrize(
    "form",
    [
        lambda features, label: features[torch.arange(label.shape[0]), label],
        lambda features, label: features[torch.arange(0, features.shape[0], 1).long(), label.int()],
        lambda features, label: features.transpose(0, 1)[label, torch.arange(label.shape[0])],
        lambda features, label: features.mT[torch.arange(label.shape[0]), :, label - 1],
        written,
        written_with_vectors,
        lambda features, label: features.reshape(-1)[torch.arange(label.shape[0]) * 12 + label],
        lambda features, label: features.flatten(0, 1).T[
            :, label - 1 + torch.arange(0, 4 * label.shape[0], 4)
        ],
        lambda features, label: features.flatten(0, 1).index_select(
            0, label + 4 * torch.arange(label.shape[0])
        ),
    ],
)
def test_a_selection_by_label_needs_no_positions(form: Form) -> None:
    module = without(form)
    assert module is not None
    for batch in (1, 3, 5):
        noise, label = torch.randn(batch, 12), torch.arange(batch).flip(0) % 3 + 1
        assert torch.equal(module(noise, label), Selecting(form)(noise, label))


def added(features: Tensor, label: Tensor) -> Tensor:
    return features.index_put((torch.arange(label.shape[0]), label), torch.ones(3), accumulate=True)


@pytest.mark.parametrize(
    "form",
    [
        lambda features, label: features[torch.arange(label.shape[0]).flip(0), label],
        lambda features, label: features[torch.arange(1, label.shape[0] + 1) - 1, label],
        lambda features, label: features[torch.arange(label.shape[0]), label, label % 3],
        lambda features, label: features[label % 3, label],
        lambda features, label: features.permute(1, 0, 2)[
            :, torch.arange(label.shape[0]), label % 3
        ],
        added,
        lambda features, label: features.flatten()[torch.arange(label.shape[0]) * 2 + label],
        lambda features, label: features.flatten()[torch.arange(1, label.shape[0] + 1) + label],
        lambda features, label: features.flatten()[
            torch.add(torch.arange(label.shape[0]) * 12, label, alpha=2)
        ],
        lambda features, label: features.flatten(0, 1)[torch.arange(label.shape[0]) * 4, label],
    ],
)
def test_other_indices_stay(form: Form) -> None:
    assert without(form) is None
