from __future__ import annotations

import pytest
import torch

from napari_segany.model import ImageFeatures, Sam
from napari_segany.model.image_decoder import ImageDecoder
from napari_segany.model.pyramid_decoder import mask_statistics


def features_of(sam: Sam, images: int = 1) -> ImageFeatures:
    with torch.no_grad():
        return sam.encode(torch.randn(images, 3, 64, 64))


PROMPTS = {
    "points": torch.tensor([[[20.0, 30.0], [5.0, 60.0]], [[40.0, 10.0], [33.0, 33.0]]]),
    "labels": torch.tensor([[1, 0], [1, 1]]),
    "boxes": torch.tensor([[10.0, 10.0, 40.0, 50.0], [30.0, 0.0, 63.0, 20.0]]),
    "masks": torch.linspace(-9, 9, 2 * 16 * 16).view(2, 1, 16, 16),
}


@torch.no_grad()
@pytest.mark.parametrize("kinds", [("points", "labels"), ("boxes",), ("masks",), tuple(PROMPTS)])
def test_prompts_of_one_image_are_answered_as_if_each_had_brought_it(pyramid: Sam, kinds: tuple[str, ...]):
    shared = features_of(pyramid)
    prompts = {kind: PROMPTS[kind] for kind in kinds}
    masks, iou = pyramid.decode_all(shared, **prompts)
    assert masks.shape == (2, 4, 16, 16)
    assert iou.shape == (2, 4)
    own = ImageFeatures(
        shared.embedding.expand(2, -1, -1, -1), tuple(t.expand(2, -1, -1, -1) for t in shared.high_resolution)
    )
    masks_own, iou_own = pyramid.decode_all(own, **prompts)
    torch.testing.assert_close(masks, masks_own, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(iou, iou_own, atol=1e-5, rtol=1e-4)
    for index in range(2):
        alone, _ = pyramid.decode_all(shared, **{kind: value[index : index + 1] for kind, value in prompts.items()})
        torch.testing.assert_close(masks[index : index + 1], alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["points", "boxes", "masks"])
def test_every_kind_of_prompt_is_heard(pyramid: Sam, kind: str):
    features = features_of(pyramid)
    before, _ = pyramid.decode_all(features, **PROMPTS)
    after, _ = pyramid.decode_all(features, **{**PROMPTS, kind: PROMPTS[kind] / 2})
    assert not torch.allclose(before, after, atol=1e-4)


@torch.no_grad()
def test_what_prompts_share_is_computed_once_and_changes_no_answer(pyramid: Sam, monkeypatch: pytest.MonkeyPatch):
    features = features_of(pyramid)
    decoder = ImageDecoder(pyramid, features)
    expected = [pyramid.decode(features, **PROMPTS, multimask=multimask) for multimask in (True, False)]

    def not_again(*arguments: object) -> None:
        raise AssertionError("computed for one prompt what all share")

    monkeypatch.setattr(pyramid.mask_decoder, "share", not_again)
    for multimask, (masks, iou) in zip((True, False), expected, strict=True):
        found, scores = decoder.decode(**PROMPTS, multimask=multimask)
        assert torch.equal(found, masks)
        assert torch.equal(scores, iou)


@torch.no_grad()
def test_a_token_begins_with_the_image_under_its_point(pyramid: Sam):
    shared = features_of(pyramid)
    elsewhere = shared.high_resolution[1].clone()
    elsewhere[..., 4, 6] += 5  # the cell around x = 51.5, y = 35.5
    changed = ImageFeatures(shared.embedding, (shared.high_resolution[0], elsewhere))
    sample = pyramid.mask_decoder._sample
    there, away = torch.tensor([[[51.5, 35.5]]]), torch.tensor([[[20.0, 20.0]]])
    assert not torch.allclose(sample(shared, there), sample(changed, there))
    assert torch.equal(sample(shared, away), sample(changed, away))


def test_features_and_masks_must_fit_the_prompts(pyramid: Sam):
    with pytest.raises(ValueError, match="3 image embeddings for 2 prompts"):
        pyramid.decode_all(features_of(pyramid, images=3), **PROMPTS)
    with pytest.raises(ValueError, match=r"expected \(B, 1, 16, 16\)"):
        pyramid.decode_all(features_of(pyramid), masks=torch.zeros(1, 1, 8, 8))


def test_statistics_of_a_mask_by_hand():
    high, low = torch.tensor(0.9).logit().item(), torch.tensor(0.2).logit().item()
    logits = torch.full((4, 4), low)
    logits[0] = high
    expected, certainty, area, stability = mask_statistics(logits).tolist()
    # Four pixels of 0.9 inside; twelve of 0.2 outside are 2.4 pixels that it misses.
    assert expected == pytest.approx(3.6 / (4 + 2.4))
    assert certainty == pytest.approx(0.9)
    assert area == pytest.approx(torch.tensor(5.0).log().item() / 10)
    assert stability == 1  # 0.9 lies above a logit of 1, 0.2 below -1


def test_an_empty_mask_has_finite_statistics():
    assert mask_statistics(torch.full((2, 4, 4), -50.0)).isfinite().all()


@torch.no_grad()
def test_a_box_is_seen_at_the_finest_scale(pyramid: Sam):
    features, box = features_of(pyramid), torch.tensor([[17.0, 17.0, 46.0, 46.0]])
    before, _ = pyramid.decode_all(features, boxes=box)
    weight = pyramid.mask_decoder.fine_box_conv.weight
    weight[:, 0] = 1  # whether a cell lies in the box
    inside, _ = pyramid.decode_all(features, boxes=box)
    changed = (inside - before).abs().amax(dim=(0, 1)) > 1e-6
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[4:12, 4:12] = True  # cells of 4 px, whose centres are at 17.5 and 45.5
    assert torch.equal(changed, expected)


@torch.no_grad()
def test_clicks_and_masks_do_not_notice_that_boxes_are_seen_finely(pyramid: Sam):
    features = features_of(pyramid)
    others = {kind: value for kind, value in PROMPTS.items() if kind != "boxes"}
    before, _ = pyramid.decode_all(features, **others)
    torch.nn.init.normal_(pyramid.mask_decoder.fine_box_conv.weight)
    after, _ = pyramid.decode_all(features, **others)
    assert torch.equal(before, after)
