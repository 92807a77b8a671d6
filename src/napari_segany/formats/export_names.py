"""What masks can be exported as, by name. Knows nothing, so that a command line can offer it at once."""

from __future__ import annotations

FORMATS = {
    "labels": "label image (TIFF, smaller objects on top) in labels/, with pixel size or place on Earth where known",
    "coco": "coco.json, one file for all images",
    "sa1b": "a file in the format of SA-1B for each image in sa1b/",
    "yolo": "polygons for YOLO-seg in yolo/labels/ and yolo/data.yaml; put the pictures into yolo/images/",
    "csv": "table of properties in tables/",
    "gpkg": "GeoPackage in vectors/, of label GeoTIFFs",
    "geojson": "GeoJSON in vectors/, of label GeoTIFFs",
    "shp": "Shapefile in vectors/, of label GeoTIFFs",
}
"""What masks can be written as, and where in the folder."""

VECTORS = ("gpkg", "geojson", "shp")
"""Those that need a place on Earth."""
