"""Many images to many files: masks for everything, or for the boxes of a detector. Knows no user interface."""
