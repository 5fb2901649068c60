"""Generators and discriminators."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from cgan_training.data import Dataset
from cgan_training.engine import Trainer
from cgan_training.networks import (
    build_discriminator,
    build_generator,
    parameter_count,
    to_float,
    to_uint8,
)
from cgan_training.networks.minibatch_stddev import MinibatchStddev
from cgan_training.recipe import (
    ConvolutionalDiscriminatorSettings,
    ConvolutionalGeneratorSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    PerceptronGeneratorSettings,
    PyramidDiscriminatorSettings,
    load_recipe,
)

CLASSIC = load_recipe("classic")
CONVOLUTIONAL = (
    ConvolutionalGeneratorSettings(hidden=24, channels=6),
    ConvolutionalDiscriminatorSettings((8, 8, 12), 20),
)


def layers(network: nn.Module) -> list[nn.Module]:
    """Return the layers of a network's only chain, in order."""
    (chain,) = network.children()
    return list(chain.children())


def widths(network: nn.Module) -> list[int]:
    linear = [layer for layer in layers(network) if isinstance(layer, nn.Linear)]
    return [linear[0].in_features, *(layer.out_features for layer in linear)]


def test_the_networks_have_the_classic_layers() -> None:
    generator = build_generator(CLASSIC.generator, 100, 10, (1, 28, 28))
    assert widths(generator) == [110, 256, 512, 1024, 784]
    assert [type(layer) for layer in layers(generator)[1::2]] == [nn.ReLU] * 3
    assert parameter_count(generator) == 1_488_912
    discriminator = build_discriminator(CLASSIC.discriminator, 10, (1, 28, 28))
    assert widths(discriminator) == [794, 1024, 512, 256, 1]
    assert [type(layer) for layer in layers(discriminator)[1::2]] == [nn.LeakyReLU] * 3
    assert parameter_count(discriminator) == 1_470_465


def test_batch_norm_precedes_each_relu() -> None:
    settings = PerceptronGeneratorSettings(hidden=(32, 48), batch_norm=True)
    chain = layers(build_generator(settings, 10, 10, (1, 28, 28)))
    norm = nn.BatchNorm1d
    assert [type(layer) for layer in chain[1:-1]] == [norm, nn.ReLU, nn.Linear, norm, nn.ReLU]


@pytest.mark.parametrize("recipe", ["classic", "convolutional"])
def test_both_networks_depend_on_the_label(recipe: str) -> None:
    classic = (CLASSIC.generator, CLASSIC.discriminator)
    settings = classic if recipe == "classic" else CONVOLUTIONAL
    label, image = torch.arange(10), torch.rand(1, 1, 28, 28).expand(10, -1, -1, -1)
    generator = build_generator(settings[0], 10, 10, (1, 28, 28)).eval()
    generated = generator(10 * torch.randn(1, 10).expand(10, -1), label)
    logits = build_discriminator(settings[1], 10, (1, 28, 28))(image, label).logits
    assert generated.abs().max() <= 1
    assert len(generated.flatten(1).unique(dim=0)) == 10
    assert logits.shape == (10,)
    assert len(logits.unique()) == 10


def test_the_networks_of_the_recipe_gan_ignore_the_label(digits: Dataset) -> None:
    gan = load_recipe("gan")
    trainer = Trainer(gan, digits, torch.device("cpu"))
    trainer.train_epoch(lambda steps, _sums: steps < 3)
    generator, discriminator = trainer.state.generator, trainer.state.discriminator.discriminator
    label, noise = torch.arange(10), torch.randn(1, gan.noise_dim).expand(10, -1)
    images = generator(noise, label)
    logits = discriminator(images[:1].expand_as(images), label).logits
    for output in (images, logits):
        torch.testing.assert_close(output, output[:1].expand_as(output))
    assert widths(generator)[0] == gan.noise_dim
    assert widths(discriminator)[0] == images[0].numel()


def test_uint8_and_float_are_inverse_for_all_pixel_values() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(values)), values)
    assert to_float(values)[[0, -1]].tolist() == [-1, 1]
    assert to_uint8(torch.tensor([-1.5, -1.0, 1.0, 3.0])).tolist() == [0, 0, 255, 255]


SHAPES = [(1, 28, 28), (3, 32, 32), (1, 4, 4), (3, 8, 8), (1, 9, 127), (3, 96, 128), (1, 30, 45)]
GENERATORS = [
    CLASSIC.generator,
    ConvolutionalGeneratorSettings(hidden=24, channels=6),
    ConvolutionalGeneratorSettings(hidden=24, channels=6, convolutions=1, finer_channels=(4,)),
    ConvolutionalGeneratorSettings(hidden=24, channels=6, convolutions=0, finer_channels=(4, 5)),
]
DISCRIMINATORS = [
    ConvolutionalDiscriminatorSettings((8, 8, 12), 20),
    PyramidDiscriminatorSettings((8,), 20),
    PyramidDiscriminatorSettings((8, 12, 16), 20, convolutions=2),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("settings", GENERATORS, ids=lambda each: each.kind)
def test_generators_support_any_shape(
    settings: GeneratorSettings, shape: tuple[int, int, int]
) -> None:
    image = build_generator(settings, 10, 5, shape)(torch.randn(7, 10), torch.arange(7) % 5)
    assert image.shape == (7, *shape)
    assert image[..., -1, -1].std() > 0  # no part of the image is padding


@pytest.mark.parametrize("settings", GENERATORS[1:3])
def test_an_untrained_generator_has_no_checkerboard(settings: GeneratorSettings) -> None:
    generator = build_generator(settings, 10, 5, (3, 32, 32))
    image = generator(torch.randn(9, 10), torch.arange(9) % 5)
    cells = functional.pixel_unshuffle(image, 2).unflatten(1, (3, 4))
    assert (cells - cells[:, :, :1]).abs().max() < 1e-5 < image.std()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("settings", DISCRIMINATORS, ids=lambda each: each.kind)
def test_discriminators_see_all_of_an_image_of_any_shape(
    settings: DiscriminatorSettings, shape: tuple[int, int, int]
) -> None:
    discriminator = build_discriminator(settings, 5, shape)
    image = torch.rand(7, *shape, requires_grad=True)
    output = discriminator(image, torch.arange(7) % 5)
    assert output.logits.shape == (7,)
    assert output.features is not None
    assert output.features.shape == (7, discriminator.feature_dim) == (7, 20)
    output.features.abs().sum().backward()
    assert image.grad is not None
    assert (image.grad.abs().sum((0, 1)) > 0).all()  # of every pixel


def test_a_larger_image_starts_from_a_grid_of_at_most_8_x_8_cells() -> None:
    settings = ConvolutionalGeneratorSettings(hidden=24, channels=6, finer_channels=(4, 5))
    for side, expected in ((28, 7), (32, 8), (33, 5), (64, 8), (128, 8)):
        chain = layers(build_generator(settings, 10, 5, (1, side, side)))
        (unflatten,) = (layer for layer in chain if isinstance(layer, nn.Unflatten))
        assert unflatten.unflattened_size == (6, expected, expected)


def test_minibatch_stddev_is_computed_per_label_and_group() -> None:
    torch.manual_seed(0)
    features, label = torch.randn(14, 5), torch.tensor([0, 0, 0, 1, 1, 2, 2] * 2)
    features[7:10] = features[7]  # in the second group, the images of label 0 are identical
    module = MinibatchStddev(4)
    assert not module(features, label, 2).any()  # untrained
    torch.nn.init.ones_(module.weight)
    added = module(features, label, 2)
    for begin, end in ((0, 3), (3, 5), (5, 7), (10, 12), (12, 14)):
        expected = features[begin:end].std(0, correction=0).mean()
        assert added[begin:end].tolist() == pytest.approx([expected.item()] * (end - begin), 1e-4)
    assert added[7:10].max() < 2e-3
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module(features, label, 2), added)


@pytest.mark.parametrize(("fades", "shares"), [(False, (1, 1, 1)), (True, (1, 0.25, 0))])
def test_minibatch_stddev_raises_the_logits_of_varied_images(
    fades: bool, shares: tuple[float, ...]
) -> None:
    torch.manual_seed(0)
    settings = ConvolutionalDiscriminatorSettings(
        (8, 8, 12), 20, minibatch_stddev=True, minibatch_stddev_fades=fades
    )
    discriminator = build_discriminator(settings, 3, (1, 8, 8))
    varied, label = 20 * torch.rand(6, 1, 8, 8), torch.zeros(12, dtype=torch.int64)
    images = torch.cat([varied, varied[:1].expand(6, -1, -1, -1)])
    without = discriminator(images, label, groups=2).logits.detach()
    (weight,) = (each for each in discriminator.parameters() if not each.ndim)
    torch.nn.init.ones_(weight)
    added = [
        discriminator(images, label, groups=2, progress=progress).logits.detach() - without
        for progress in (0.0, 0.75, 1.0)
    ]
    assert added[0][:6].min() > 5 * added[0][6:].max()
    means = [each[:6].mean().item() for each in added]
    assert means == pytest.approx([means[0] * share for share in shares], abs=1e-5)
