"""The accepted pixel errors of an exported file, by precision and kind of network."""

from cgan_export.verification.verify import Tolerance

FLOAT16_REMEDY = "the weights do not survive the pass to float16; export with --precision fp32"
# The accepted pixel errors of each precision. fp32 differs from PyTorch only in the order of sums.
# The mean of int8 finds gross errors only: verify_against_integers() and the gate are stricter. A
# single pixel may have any error, because one value in a thousand may be clipped.
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
# Any share of the pixels of an unknown network may lie halfway between two values.
PLAIN = {"fp32": Tolerance(1, 1.0), "fp16": Tolerance(1, 1.0, remedy=FLOAT16_REMEDY)}
# Static quantization computes some layers in float32, whose last bits depend on the batch size. A
# value may then round to the next quantization step.
STATIC_INT8 = Tolerance(
    255,
    4.0,
    batch_error=8,
    remedy="ONNX Runtime's quantization changes the images too much; export with --precision fp16",
)
