"""Before a run: the choice of a recipe by the images, and the estimate of size and time."""
