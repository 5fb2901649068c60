"""Quality metrics of generated images, and the evaluation classifier that they need."""
