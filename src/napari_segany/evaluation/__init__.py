"""From weights and annotated images to numbers: one file per protocol."""
