"""From annotated images to weights: the training algorithm of the SAM paper."""
