"""Validation of an ONNX graph before onnxruntime opens the file."""
