"""The files that a batch can write, by name. Knows nothing, so that a command line can offer them at once."""

from __future__ import annotations

OUTPUTS = {
    "labels": "label image (TIFF) in labels/, with the resolution of the image",
    "csv": "table of properties in tables/, in physical units too where the image has them",
    "coco": "coco.json, one file for all images",
    "sa1b": "a file in the format of SA-1B for each image in sa1b/",
    "yolo": "a data set for YOLO-seg in yolo/: polygons, pictures and data.yaml",
    "overlay": "a picture of the masks over the image in overlays/",
}
"""What can be written of any image, and what it is."""

VECTOR_OUTPUTS = {
    "gpkg": "GeoPackage in vectors/, of images with a place on Earth (extra geo)",
    "geojson": "GeoJSON in vectors/, of such images, in WGS 84",
    "shp": "Shapefile in vectors/, of such images",
}
"""What can be written of images with a place on Earth."""

EVERY_OUTPUT = {**OUTPUTS, **VECTOR_OUTPUTS}

DEFAULT_OUTPUTS = ("labels", "csv")
