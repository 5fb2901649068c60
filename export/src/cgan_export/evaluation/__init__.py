"""Image quality: cgan-eval's metrics and pictures, the quality gate and the model card."""
