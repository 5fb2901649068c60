"""Self-contained C99 that computes the images of an int8 file, for devices without ONNX Runtime."""
