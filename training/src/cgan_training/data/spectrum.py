"""Measure the fine detail of images: the share of their spectral power at high frequencies.

Generators can leave a pattern of alternating pixels, a checkerboard, in flat areas (Odena et al.
2016, https://doi.org/10.23915/distill.00003). Its frequencies are the highest ones of both axes.
"""

import torch
from torch import Tensor

HIGH = 0.25  # cycles per pixel: half the Nyquist frequency
CHUNK_IMAGES = 1000


def high_frequency_share(images: Tensor) -> float:
    """Return the share of the power spectrum above half the Nyquist frequency in both axes, 0 to 1.

    The power is the sum over all images and channels. The mean value of each channel is removed.

    Args:
        images: uint8 [n, channels, height, width].

    Returns:
        The share; 0.0 for images without any variation.
    """
    high = [torch.fft.fftfreq(side).abs() > HIGH for side in images.shape[2:]]
    selected = high[0][:, None] & high[1]  # [height, width]
    power = torch.zeros(images.shape[2:], dtype=torch.float64)
    for chunk in images.split(CHUNK_IMAGES):
        centered = chunk.double() - chunk.double().mean(dim=(2, 3), keepdim=True)
        power += torch.fft.fft2(centered).abs().square().sum(dim=(0, 1))
    total = power.sum().item()
    return power[selected].sum().item() / total if total else 0.0
