"""Adversarial losses that the user wrote.

A recipe names the code, `kind = "my_package.my_module:MyLoss"` in [loss]. It is called with the
other keys of the table, except those of LossSettings, and returns an object with the methods
generator_loss(fake) and discriminator_loss(real, fake). Each gets logits, float32 [batch], and
returns a scalar to minimize. docs/extend.md has an example.
"""

import copy

import torch
from torch import Tensor

from cgan_training.errors import UserCodeError
from cgan_training.losses.adversarial import AdversarialLoss
from cgan_training.recipe import CustomLossSettings
from cgan_training.user_code import explain_failures, import_object


def import_loss(settings: CustomLossSettings) -> AdversarialLoss:
    """Import and check a loss of the user.

    Raises:
        UserCodeError: the code cannot be imported, or does not work as described.
    """
    build = import_object(settings.kind)
    with explain_failures(f"the loss {settings.kind} fails"):
        loss = build(**copy.deepcopy(settings.arguments))
        functions = AdversarialLoss(loss.generator_loss, loss.discriminator_loss)
        real, fake = torch.tensor([[0.5, -1.0], [-0.5, 1.0]], requires_grad=True)
        results = functions.generator_loss(fake), functions.discriminator_loss(real, fake)
    for name, result in zip(AdversarialLoss._fields, results, strict=True):
        if not isinstance(result, Tensor) or result.shape != () or not result.requires_grad:
            raise UserCodeError(
                f"{name}() of the loss {settings.kind} must return a scalar tensor (shape []) that "
                "depends on the logits, for example a mean"
            )
    return functions
