"""Quality measures of generated images, one module per measure."""
