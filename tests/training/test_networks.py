import pytest
import torch
from torch import nn

from cgan_training.errors import RecipeError
from cgan_training.networks import (
    ConvolutionalDiscriminator,
    ConvolutionalGenerator,
    Discriminator,
    Generator,
    PerceptronGenerator,
    parameter_count,
    to_float,
    to_uint8,
)
from cgan_training.networks.linear import Linear
from cgan_training.networks.minibatch_stddev import MinibatchStddev
from cgan_training.recipe.schema import load_recipe


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(load_recipe("seed").generator, 100, 10, 28, 28)


@pytest.fixture
def discriminator() -> Discriminator:
    torch.manual_seed(0)
    return load_recipe("seed").discriminator.network(10, 28, 28)


def layers(network: nn.Module) -> list[nn.Module]:
    """The parts of a network's only chain, in order."""
    (chain,) = network.children()
    return list(chain.children())


def widths(network: nn.Module) -> list[int]:
    linear = [layer for layer in layers(network) if isinstance(layer, nn.Linear)]
    return [linear[0].in_features, *(layer.out_features for layer in linear)]


def test_generator_has_the_classic_layers(generator: Generator) -> None:
    assert widths(generator) == [110, 256, 512, 1024, 784]
    assert [type(layer) for layer in layers(generator)[1::2]] == [nn.ReLU] * 3
    assert parameter_count(generator) == 1_488_912


def test_discriminator_has_the_classic_layers(discriminator: Discriminator) -> None:
    assert widths(discriminator) == [794, 1024, 512, 256, 1]
    assert [type(layer) for layer in layers(discriminator)[1::2]] == [nn.LeakyReLU] * 3
    assert parameter_count(discriminator) == 1_470_465


def test_batch_norm_stands_before_each_relu() -> None:
    settings = PerceptronGenerator(hidden=(32, 48), batch_norm=True)
    chain = layers(Generator(settings, 10, 10, 28, 28))
    norm = nn.BatchNorm1d
    assert [type(layer) for layer in chain[1:-1]] == [norm, nn.ReLU, Linear, norm, nn.ReLU]


def test_generator_draws_images_between_minus_one_and_one(generator: Generator) -> None:
    image = generator(10 * torch.randn(7, 100), torch.arange(7))
    assert image.shape == (7, 1, 28, 28)
    assert image.abs().max() <= 1


def test_the_label_steers_both_networks(generator: Generator, discriminator: Discriminator) -> None:
    noise, image = torch.randn(1, 100), torch.rand(1, 1, 28, 28)
    label = torch.arange(10)
    drawn = generator(noise.expand(10, -1), label)
    judged = discriminator(image.expand(10, -1, -1, -1), label).logit
    assert len(drawn.flatten(1).unique(dim=0)) == 10
    assert judged.shape == (10,)
    assert len(judged.unique()) == 10


def test_uint8_and_float_are_inverse_for_all_greys() -> None:
    greys = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(greys)), greys)
    assert to_float(greys)[[0, -1]].tolist() == [-1, 1]


def test_uint8_clips_what_lies_outside() -> None:
    assert to_uint8(torch.tensor([-1.5, -1.0, 1.0, 3.0])).tolist() == [0, 0, 255, 255]


@pytest.fixture
def convolutional() -> tuple[ConvolutionalGenerator, ConvolutionalDiscriminator]:
    return ConvolutionalGenerator(hidden=24, channels=6), ConvolutionalDiscriminator((8, 8, 12), 20)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (12, 20), (4, 4)])
def test_convolutional_networks_fit_any_grid_of_cells(
    convolutional: tuple[ConvolutionalGenerator, ConvolutionalDiscriminator],
    height: int,
    width: int,
) -> None:
    generator = Generator(convolutional[0], 10, 5, height, width)
    image = generator(torch.randn(7, 10), torch.arange(7) % 5)
    assert image.shape == (7, 1, height, width)
    assert image.abs().max() <= 1
    label = torch.arange(7) % 5
    judged = convolutional[1].network(5, height, width, reads=True)(image, label)
    assert judged.logit.shape == (7,)
    assert judged.reading is not None
    assert judged.reading.shape == (7, 5)


def test_convolutional_networks_refuse_other_sizes(
    convolutional: tuple[ConvolutionalGenerator, ConvolutionalDiscriminator],
) -> None:
    with pytest.raises(RecipeError, match="need sides that 4 divides, not 28 x 30; take a recipe"):
        Generator(convolutional[0], 10, 5, 28, 30)
    with pytest.raises(RecipeError, match="not 9 x 8"):
        convolutional[1].network(5, 9, 8)


def test_the_label_steers_the_convolutional_networks(
    convolutional: tuple[ConvolutionalGenerator, ConvolutionalDiscriminator],
) -> None:
    label = torch.arange(10)
    generator = Generator(convolutional[0], 10, 10, 28, 28).eval()
    drawn = generator(torch.randn(1, 10).expand(10, -1), label)
    image = torch.rand(1, 1, 28, 28).expand(10, -1, -1, -1)
    judged = convolutional[1].network(10, 28, 28)(image, label).logit
    assert len(drawn.flatten(1).unique(dim=0)) == 10
    assert len(judged.unique()) == 10


def test_the_deviation_is_that_of_a_label_s_images_in_a_set() -> None:
    torch.manual_seed(0)
    features, label = torch.randn(14, 5), torch.tensor([0, 0, 0, 1, 1, 2, 2] * 2)
    features[7:10] = features[7]  # in the second set, the images of label 0 are one
    comparing = MinibatchStddev(4)
    assert not comparing(features, label, 2).any()  # untrained
    torch.nn.init.ones_(comparing.weight)
    compared = comparing(features, label, 2)
    for begin, end in ((0, 3), (3, 5), (5, 7), (10, 12), (12, 14)):
        wanted = features[begin:end].std(0, correction=0).mean()
        assert compared[begin:end].tolist() == pytest.approx([wanted.item()] * (end - begin), 1e-4)
    assert compared[7:10].max() < 2e-3
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(comparing(features, label, 2), compared)


def test_a_discriminator_sees_images_that_are_too_much_alike() -> None:
    torch.manual_seed(0)
    settings = ConvolutionalDiscriminator((8, 8, 12), 20, minibatch_deviation=True)
    discriminator = settings.network(3, 8, 8)
    several, label = 20 * torch.rand(6, 1, 8, 8), torch.zeros(12, dtype=torch.int64)
    both = torch.cat([several, several[:1].expand(6, -1, -1, -1)])
    alone = discriminator(both, label, sets=2).logit.detach()
    (change,) = (weight for weight in discriminator.parameters() if not weight.ndim)
    torch.nn.init.ones_(change)
    added = discriminator(both, label, sets=2).logit.detach() - alone
    assert added[:6].min() > 5 * added[6:].max()


def test_what_a_discriminator_sees_of_it_fades_with_the_run() -> None:
    added = []
    for fades in (False, True):
        torch.manual_seed(0)
        settings = ConvolutionalDiscriminator(
            (8, 8, 12), 20, minibatch_deviation=True, deviation_fades=fades
        )
        discriminator = settings.network(3, 8, 8)
        image, label = 20 * torch.rand(6, 1, 8, 8), torch.zeros(6, dtype=torch.int64)
        alone = discriminator(image, label).logit.detach()
        (change,) = (weight for weight in discriminator.parameters() if not weight.ndim)
        torch.nn.init.ones_(change)
        for progress in (0.0, 0.75, 1.0):
            discriminator.progress = progress
            added.append((discriminator(image, label).logit - alone).mean().item())
    always, fading = added[:3], added[3:]
    assert always == [always[0]] * 3
    assert fading == pytest.approx([always[0], always[0] / 4, 0], abs=1e-5)
