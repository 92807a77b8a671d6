"""Everything in one image, as in napari's console: ask once, filter as often as you like, look at the objects.

python examples/everything_in_console.py
"""

from __future__ import annotations

from skimage import data

import napari_segany as segany
from napari_segany.engine.automatic import refilter
from napari_segany.engine.progress import drain
from napari_segany.formats.table import property_table


def main() -> None:
    image = data.coins()[:192]

    predictor = segany.Predictor("light")
    generator = segany.AutomaticMaskGenerator(predictor, points_per_side=12)
    candidates = drain(generator.candidate_steps(image))
    print(f"{len(candidates)} candidates")

    for thresh in (0.5, 0.6, 0.7):
        records = refilter(
            candidates, generator.settings.replaced(pred_iou_thresh=thresh, stability_score_thresh=0.8)
        )
        print(f"predicted IoU above {thresh}: {len(records)} objects")

    records = refilter(candidates, generator.settings.replaced(pred_iou_thresh=0.5, stability_score_thresh=0.8))
    labels = segany.to_labels(records, image.shape[:2])
    table = property_table(records, image)
    print(f"{(labels > 0).mean():.0%} of the pixels belong to an object; areas: {sorted(table['area'])[-5:]}")
    # In napari's console: viewer.add_labels(labels, features=table)


if __name__ == "__main__":
    main()
