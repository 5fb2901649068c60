"""Pixels that hardly any image of the data inks are inked as rarely in drawn ones.

Such a pixel gives the generator next to nothing to learn from: where ink is missing in one image of
a thousand, its gradient is too. What is drawn there is what the other pixels' units leave, twelve
times as often as in MNIST, and shows as lone dots at the margin (docs/design/0016).
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from cgan_training.networks import Generator

INKED = 16  # grey level from which on a pixel is
LEAST_LOGIT = math.atanh((INKED - 0.5) / 127.5 - 1)  # before the tanh that is drawn as this level
DRAWN, BATCH = 100_000, 5_000  # images looked at


def suppress_rare_pixels(generator: Generator, images: Tensor, share: float, seed: int) -> None:
    """Lower the biases of rarely inked pixels until drawn images ink them as rarely.

    Args:
        generator: on any device, in eval mode, its last layer linear with an output a pixel.
        images: of the data, uint8 [n, 1, height, width], on the same device.
        share: pixels that a smaller share of the images ink are rare, 0 .. 1.
        seed: of the noise and labels drawn for it.
    """
    head = cast(nn.Linear, generator.layers[-1])
    inked = (images >= INKED).flatten(1).sum(0).double() / len(images)  # [pixels]: share of them
    rare = (inked < share).nonzero().squeeze(1)
    random = torch.Generator(images.device).manual_seed(seed)
    with torch.no_grad():
        allowed = (inked[rare] * DRAWN).long().clamp(max=DRAWN - 1)  # of the drawn images
        highest = head.weight.new_empty(0, len(rare))  # logits, from the highest down
        for _ in range(DRAWN // BATCH):
            logits = torch.cat([highest, _logits(generator, rare, random)])
            highest = logits.topk(min(int(share * DRAWN) + 1, len(logits)), dim=0).values
        beyond = highest.gather(0, allowed[None]).squeeze(0)  # the first that is not to be inked
        head.bias[rare] -= (beyond - LEAST_LOGIT).clamp(min=0)


def _logits(generator: Generator, pixels: Tensor, random: torch.Generator) -> Tensor:
    """Return what a batch of images has for pixels before its tanh, float32 [BATCH, pixels]."""
    noise = torch.randn(BATCH, generator.noise_dim, generator=random, device=pixels.device)
    label = torch.randint(generator.classes, (BATCH,), generator=random, device=pixels.device)
    hidden = generator.layers[:-1](generator.inputs(noise, label))
    head = cast(nn.Linear, generator.layers[-1])
    return nn.functional.linear(hidden, head.weight[pixels], head.bias[pixels])
