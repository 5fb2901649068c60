"""Indexing by label without batch indices: rewritten patterns, and patterns that stay."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cgan_export.tracing.label_indexing import replace_batch_indices

Indexing = Callable[[Tensor, Tensor], Tensor]


class Indexed(nn.Module):
    def __init__(self, indexing: Indexing) -> None:
        super().__init__()
        self.indexing = indexing

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        return self.indexing(noise.view(-1, 4, 3), label)


def rewrite(indexing: Indexing) -> nn.Module | None:
    inputs = torch.zeros(3, 12), torch.zeros(3).long()
    batch = torch.export.Dim("batch", min=1)
    shapes = {"noise": {0: batch}, "label": {0: batch}}
    with torch.no_grad():
        return replace_batch_indices(
            torch.export.export(Indexed(indexing), inputs, dynamic_shapes=shapes, strict=False)
        )


def assigned(features: Tensor, label: Tensor) -> Tensor:
    result = features.clone()
    result[torch.arange(label.shape[0]), label] = 7
    return result


def assigned_vectors(features: Tensor, label: Tensor) -> Tensor:
    result = torch.zeros(label.shape[0], 2, 4)
    result[torch.arange(0, label.shape[0]), :, label] = features[:, 0, :2]
    return result


def flat_axis(features: Tensor, label: Tensor) -> Tensor:
    return features.flatten(0, 1).T[:, label - 1 + torch.arange(0, 4 * label.shape[0], 4)]


def index_select(features: Tensor, label: Tensor) -> Tensor:
    return features.flatten(0, 1).index_select(0, label + 4 * torch.arange(label.shape[0]))


REWRITTEN: dict[str, Indexing] = {
    "plain": lambda features, label: features[torch.arange(label.shape[0]), label],
    "converted": lambda features, label: features[
        torch.arange(0, features.shape[0], 1).long(), label.int()
    ],
    "transposed": lambda features, label: features.transpose(0, 1)[
        label, torch.arange(label.shape[0])
    ],
    "between": lambda features, label: features.mT[torch.arange(label.shape[0]), :, label - 1],
    "assigned": assigned,
    "assigned vectors": assigned_vectors,
    "flat": lambda features, label: features.reshape(-1)[torch.arange(label.shape[0]) * 12 + label],
    "flat axis": flat_axis,
    "index_select": index_select,
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_indexing_by_label_is_rewritten(name: str) -> None:
    module = rewrite(REWRITTEN[name])
    assert module is not None
    for batch in (1, 3, 5):
        noise, label = torch.randn(batch, 12), torch.arange(batch).flip(0) % 3 + 1
        assert torch.equal(module(noise, label), Indexed(REWRITTEN[name])(noise, label))


def accumulated(features: Tensor, label: Tensor) -> Tensor:
    return features.index_put((torch.arange(label.shape[0]), label), torch.ones(3), accumulate=True)


def three_axes(features: Tensor, label: Tensor) -> Tensor:
    return features.permute(1, 0, 2)[:, torch.arange(label.shape[0]), label % 3]


def label_times_two(features: Tensor, label: Tensor) -> Tensor:
    return features.flatten()[torch.add(torch.arange(label.shape[0]) * 12, label, alpha=2)]


KEPT: dict[str, Indexing] = {
    "other order": lambda features, label: features[torch.arange(label.shape[0]).flip(0), label],
    "shifted": lambda features, label: features[torch.arange(1, label.shape[0] + 1) - 1, label],
    "three indices": lambda features, label: features[
        torch.arange(label.shape[0]), label, label % 3
    ],
    "labels only": lambda features, label: features[label % 3, label],
    "three axes": three_axes,
    "accumulated": accumulated,
    "wrong stride": lambda features, label: features.flatten()[
        torch.arange(label.shape[0]) * 2 + label
    ],
    "shifted flat": lambda features, label: features.flatten()[
        torch.arange(1, label.shape[0] + 1) + label
    ],
    "label times two": label_times_two,
    "not flat": lambda features, label: features.flatten(0, 1)[
        torch.arange(label.shape[0]) * 4, label
    ],
}


@pytest.mark.parametrize("name", KEPT)
def test_other_indices_stay(name: str) -> None:
    assert rewrite(KEPT[name]) is None
