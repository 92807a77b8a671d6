"""Everything in images that do not fit: tile by tile, stitched, streamed to the disk."""
