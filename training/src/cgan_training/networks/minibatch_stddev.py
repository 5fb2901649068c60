"""How much the images of a label differ, shown to the discriminator."""

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_VARIANCE = 1e-6  # a root has no slope at 0


class MinibatchStddev(nn.Module):
    """A part of the logit that goes by how much a batch's images of one label differ.

    A generator that draws each label in too few ways is given away by it, though each of its images
    is good (Salimans et al. 2016, section 3.2; Karras et al. 2018, section 3, who compare images of
    all kinds). Untrained, it adds nothing.

    Args:
        classes: number of labels.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor, label: Tensor, sets: int) -> Tensor:
        """Return what is added to the logits, float32 [batch].

        It is the same for all images of a label in a set: the standard deviation of each feature
        among them, in the mean over the features.

        Args:
            features: [batch, features].
            label: int64 [batch].
            sets: how many sets of one length lie behind each other.
        """
        first = torch.arange(sets, device=label.device)[:, None] * self.classes
        group = (label.view(sets, -1) + first).flatten()  # [batch]
        # bf16 has too few digits for a difference from a mean.
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.weight.dtype)
            member = functional.one_hot(group, sets * self.classes).to(features.dtype)
            share = member / member.sum(0).clamp(min=1)  # [batch, groups]
            mean = share.T @ features  # [groups, features]
            variance = share.T @ (features - mean[group]).square()
            deviation = (variance + LEAST_VARIANCE).sqrt().mean(1)  # [groups]
            return self.weight * deviation[group]
