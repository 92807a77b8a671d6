"""The napari side: sessions, layers, background work and dock widgets. The only place that knows Qt."""
