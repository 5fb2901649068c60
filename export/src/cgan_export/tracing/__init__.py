"""Tracing of a trained generator to an ONNX graph that follows the model contract."""
