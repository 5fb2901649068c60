"""Post-training quantization to int8: scales, weight rounding and the ONNX graph."""
