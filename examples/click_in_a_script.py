"""Segment one nucleus from a script: image to embedding once, then one mask per question.

python examples/click_in_a_script.py
"""

from __future__ import annotations

from skimage import data

import napari_segany as segany


def main() -> None:
    image = data.immunohistochemistry()

    predictor = segany.Predictor("light")
    embedding = predictor.encode(image)

    prediction = predictor.predict(embedding, points=[(255, 297)])
    for rank, (mask, iou) in enumerate(zip(prediction.masks, prediction.predicted_iou, strict=True), start=1):
        print(f"mask {rank}: {mask.sum()} pixels, predicted IoU {iou:.2f}")

    refined = predictor.predict(embedding, points=[(255, 297), (240, 306)], labels=[1, 0], mask=prediction.logits[0])
    print(f"with a background point on its neighbour: {refined.masks[0].sum()} pixels")


if __name__ == "__main__":
    main()
