"""The shape rule of each operator: the shapes of its outputs, and what it costs."""

from cgan_runtime.model_file.validation.image_rules import IMAGE_RULES
from cgan_runtime.model_file.validation.layer_rules import LAYER_RULES
from cgan_runtime.model_file.validation.layout_rules import LAYOUT_RULES

RULES = IMAGE_RULES | LAYER_RULES | LAYOUT_RULES
