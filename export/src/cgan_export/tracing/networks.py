"""The modules that are traced. They return float32 images in 0..span."""

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from cgan_export.passes.fold_batchnorm import fold_batch_norm
from cgan_export.passes.label_table import split_first_layer
from cgan_export.passes.parametrizations import compute_weights
from cgan_export.passes.sigmoid_head import double_last_layer
from cgan_export.source.generator_source import GeneratorSource
from cgan_training.networks import Generator
from cgan_training.networks.custom import CustomGenerator


class TraceableGenerator(nn.Module):
    """Base class of a generator with the inputs of the model contract and a float32 image.

    forward(noise, label) takes float32 [batch, noise_dim] and int64 [batch]; it returns float32
    [batch, channels, height, width], where 0 is black and `span` is white.
    """

    noise_dim: int
    span: float


class UnmodifiedGenerator(TraceableGenerator):
    """A module without rewrites: only its images are scaled to 0..255."""

    def __init__(self, source: GeneratorSource) -> None:
        super().__init__()
        self.generator, self.noise_dim = source.generator, source.noise_dim
        self.low, high = source.value_range
        # A value halfway between two pixel values must be rounded as in PyTorch. QuantizeLinear
        # divides by its scale, which is exact only if the scale is 1.
        self.span, self.factor = 255.0, 255 / (high - self.low)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return the image in 0..span; see TraceableGenerator."""
        image = self.generator(noise, label)
        shifted: Tensor = image - self.low if self.low else image
        return shifted * self.factor if self.factor != 1 else shifted


class RewrittenGenerator(TraceableGenerator):
    """A built-in generator of cgan-train after the rewrites of passes/.

    Batch norm is folded, a label table replaces the one-hot vector, and a sigmoid replaces tanh.
    Batch norm or tanh stays if its rewrite does not match.

    Raises:
        TypeError: the generator is a custom network, or its first layer is not nn.Linear.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        if isinstance(generator, CustomGenerator):
            raise TypeError("the generator is a custom network")
        layers = fold_batch_norm(generator.layers)
        split = split_first_layer(layers[0], generator.noise_dim, generator.classes)
        if split is None:
            raise TypeError("the generator's first layer must be linear")
        self.noise_dim, self.image_shape = generator.noise_dim, generator.image_shape
        self.noise_weight, self.label_table = map(nn.Parameter, split)
        self.rest = nn.Sequential(*list(layers)[1:])
        self.has_sigmoid_head = double_last_layer(self.rest)
        self.span = 1.0 if self.has_sigmoid_head else 2.0

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return the image in 0..span; see TraceableGenerator."""
        logit = self.rest(self.hidden(noise, label))
        if logit.ndim == 2:
            logit = logit.reshape(-1, *self.image_shape)
        return torch.sigmoid(logit) if self.has_sigmoid_head else torch.tanh(logit) + 1

    def hidden(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return the outputs of the first layer, float32 [batch, units]."""
        return torch.addmm(embedding(label, self.label_table), noise, self.noise_weight)


def traceable_generator(source: GeneratorSource) -> TraceableGenerator:
    """Return the generator to trace, in eval mode.

    A built-in generator of cgan-train that starts with nn.Linear becomes a RewrittenGenerator, any
    other generator an UnmodifiedGenerator.
    """
    generator = source.generator
    if isinstance(generator, CustomGenerator):
        compute_weights(generator)
    if isinstance(generator, Generator) and isinstance(generator.layers[0], nn.Linear):
        return RewrittenGenerator(generator).eval()
    return UnmodifiedGenerator(source).eval()
