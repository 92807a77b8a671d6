"""Segment everything in a folder: label images, tables and one COCO file. Run it again: nothing is redone.

python examples/segment_folder.py [FOLDER OUTPUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

from skimage import data
from skimage.io import imsave

import napari_segany as segany
from napari_segany.engine.batch.inputs import find_images
from napari_segany.engine.batch.model_source import NamedModel
from napari_segany.engine.batch.run import batch_steps
from napari_segany.engine.batch.settings import BatchSettings
from napari_segany.engine.progress import drain


def main() -> None:
    if len(sys.argv) not in (1, 3):
        sys.exit("usage: python examples/segment_folder.py [FOLDER OUTPUT]")
    folder, output = (Path(name) for name in sys.argv[1:] or ("segany_images", "segany_masks"))
    if len(sys.argv) == 3 and not folder.is_dir():
        sys.exit(f"there is no folder {folder}")
    if not folder.exists():
        folder.mkdir()
        imsave(folder / "nuclei.png", data.immunohistochemistry()[:128, :128])
        imsave(folder / "coins.png", data.coins()[:128, :128])

    automatic = segany.AutomaticSettings(points_per_side=4, pred_iou_thresh=0.5, stability_score_thresh=0.8)
    settings = BatchSettings(outputs=("labels", "csv", "coco"), automatic=automatic)
    steps = batch_steps(find_images([folder]), output, NamedModel("light"), settings)
    result = drain(steps, lambda progress: print(progress.done, "of", progress.total, progress.note))

    for image in result.images:
        print(f"{image.name}: {image.error or f'{image.objects} objects'}{' (was there)' if image.reused else ''}")


if __name__ == "__main__":
    main()
