"""Suppression of pixels that are hardly ever foreground in the training images.

Such a pixel gives the generator almost no gradient: if it is foreground in one image of a thousand,
one image of a thousand contributes. Without suppression it is foreground twelve times as often in
generated images as in MNIST, and appears as an isolated dot near the image border
(docs/design/0016).
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from cgan_training.engine.batch_norm import random_inputs
from cgan_training.networks import Generator

FOREGROUND = 16  # the lowest pixel value that counts as foreground
# The output of the last layer, before tanh, at which foreground begins.
FOREGROUND_BEFORE_TANH = math.atanh((FOREGROUND - 0.5) / 127.5 - 1)
# Number and batch size of the generated images in which foreground pixels are counted.
IMAGES, BATCH_SIZE = 100_000, 5_000


def suppress_rare_pixels(generator: Generator, images: Tensor, threshold: float, seed: int) -> None:
    """Lower the biases of rare pixels until they are foreground as rarely as in the dataset.

    Args:
        generator: in eval mode; its last layer is linear with one output per pixel.
        images: the training images, uint8 [n, channels, height, width], on the generator's device.
        threshold: rare pixels are foreground in fewer than this share of these images, 0..1.
        seed: seed of the noise and labels of the generated images.
    """
    head = cast(nn.Linear, generator.layers[-1])
    share = (images >= FOREGROUND).flatten(1).sum(0).double() / len(images)  # [pixels]
    rare = (share < threshold).nonzero().squeeze(1)
    rng = torch.Generator(images.device).manual_seed(seed)
    with torch.no_grad():
        # Number k of generated images in which a rare pixel may be foreground. Its bias is lowered
        # until the output of rank k + 1 is at most FOREGROUND_BEFORE_TANH.
        allowed = (share[rare] * IMAGES).long().clamp(max=IMAGES - 1)
        highest = head.weight.new_empty(0, len(rare))  # the highest outputs so far, descending
        for _ in range(IMAGES // BATCH_SIZE):
            inputs = generator.inputs(*random_inputs(generator, BATCH_SIZE, rng))
            hidden = generator.layers[:-1](inputs)
            outputs = nn.functional.linear(hidden, head.weight[rare], head.bias[rare])
            outputs = torch.cat([highest, outputs])
            highest = outputs.topk(min(int(threshold * IMAGES) + 1, len(outputs)), dim=0).values
        first_excess = highest.gather(0, allowed[None]).squeeze(0)
        head.bias[rare] -= (first_excess - FOREGROUND_BEFORE_TANH).clamp(min=0)
