"""The `segany` command: one file per command, none of which needs napari or Qt."""
