"""The accepted pixel errors of an exported file, by precision and kind of network."""

from cgan_export.verification.verify import Tolerance

FLOAT16_REMEDY = (
    "float16 is too coarse for the weights of this network; export with --precision fp32"
)
# For built-in generators of cgan-train. fp32 differs from PyTorch only by rounding errors, because
# the passes and ONNX Runtime compute in another order. Exact int8 may change a single pixel
# completely, because equalization may clip 0.1 % of a channel's values. The limit of its mean error
# detects only gross errors. verify_against_integers() and the quality gate are stricter.
TOLERANCES = {
    "fp32": Tolerance(1, 0.01),
    "fp16": Tolerance(1, 0.05, remedy=FLOAT16_REMEDY),
    "int8": Tolerance(
        255,
        2.0,
        batch_error=0,
        remedy="int8 changes the images of this network too much; export with --precision fp16",
    ),
}
# A network without rewrites may compute many values that lie halfway between two pixel values. The
# file may round each of them the other way, so the mean error may reach 1.
UNMODIFIED_TOLERANCES = {
    "fp32": Tolerance(1, 1.0),
    "fp16": Tolerance(1, 1.0, remedy=FLOAT16_REMEDY),
}
# Static quantization computes some layers in float32, whose last bits depend on the batch size. A
# value may then round to the next quantization step, which changes a few pixel values
# slightly.
STATIC_INT8_TOLERANCE = Tolerance(
    255,
    4.0,
    batch_error=8,
    remedy="ONNX Runtime's quantization changes the images too much; export with --precision fp16",
)
