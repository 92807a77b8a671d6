"""Numpy image in, masks out: what a script uses. Knows neither napari nor Qt."""
