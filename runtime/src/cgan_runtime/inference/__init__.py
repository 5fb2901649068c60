"""ONNX Runtime providers, sessions, the fast path for single images, and CPU threads."""
