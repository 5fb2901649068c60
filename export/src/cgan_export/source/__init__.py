"""What is exported: a trained model, or a module of the user with its checks and its weights."""
