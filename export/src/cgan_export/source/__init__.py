"""The generator to export: a trained model, or a user's module with its checks and weights."""
