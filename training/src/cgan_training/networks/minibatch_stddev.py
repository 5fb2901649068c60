"""Minibatch standard deviation: shows the discriminator how much the images of a label vary."""

import torch
from torch import Tensor, nn
from torch.nn import functional

MIN_VARIANCE = 1e-6  # keeps the gradient of the square root finite


class MinibatchStddev(nn.Module):
    """Compute a term of the logit from the variation among a batch's images of one label.

    It reveals a generator whose images of a label are all alike, even if each image looks real
    (Salimans et al. 2016, sec. 3.2; Karras et al. 2018, sec. 3, who pool all classes). The weight
    starts at 0, so an untrained module adds nothing.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor, label: Tensor, groups: int) -> Tensor:
        """Return the values to add to the logits, float32 [batch].

        All images of one label in one group get the same value: the standard deviation of each
        feature among them, averaged over the features, times the weight.

        Args:
            features: [batch, features].
            label: int64 [batch].
            groups: number of groups of equal size in the batch.
        """
        # A subset is the images of one label in one group.
        offset = torch.arange(groups, device=label.device)[:, None] * self.classes
        subset = (label.view(groups, -1) + offset).flatten()  # [batch], each image's subset
        # bfloat16 has too few digits for differences from a mean.
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.weight.dtype)
            member = functional.one_hot(subset, groups * self.classes).to(features.dtype)
            share = member / member.sum(0).clamp(min=1)  # [batch, subsets]
            mean = share.T @ features  # [subsets, features]
            variance = share.T @ (features - mean[subset]).square()
            stddev = (variance + MIN_VARIANCE).sqrt().mean(1)  # [subsets]
            return self.weight * stddev[subset]
