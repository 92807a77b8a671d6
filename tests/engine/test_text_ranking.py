"""Words as a filter of masks: the arithmetic by hand, and the real library on a tiny CLIP."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.progress import drain
from napari_segany.engine.text_query import TextQuery
from napari_segany.engine.text_ranking import Clip, TextModelError, found_by_text, mask_crops, text_scores
from napari_segany.formats.record import MaskRecord


def record(rows, cols):
    mask = np.zeros((40, 60), bool)
    mask[rows, cols] = True
    return MaskRecord.from_mask(mask)


BRIGHT, DARK = record(slice(5, 15), slice(5, 15)), record(slice(20, 30), slice(30, 40))


class Brightness:
    """A CLIP whose only meaning is brightness: the words bright and white are one direction, all others the other."""

    temperature = 2.0

    def words(self, texts):
        return np.array([[1, 0] if text in ("bright", "white") else [0, 1] for text in texts], np.float32)

    def pictures(self, pictures):
        return np.array([[1, 0] if one.max() > 128 else [0, 1] for one in pictures], np.float32)


def image():
    pixels = np.full((40, 60), 10, np.uint8)
    pixels[5:15, 5:15] = 250
    return pixels


def test_probabilities_by_hand():
    query = TextQuery(("bright", "white"), background=("background",))
    scores = drain(text_scores(Brightness(), image(), [DARK, BRIGHT], query))
    high, low = np.exp(2), np.exp(0)
    np.testing.assert_allclose(scores, [2 * low / (2 * low + high), 2 * high / (2 * high + low)])
    assert drain(found_by_text(Brightness(), image(), [DARK, BRIGHT], query)) == [BRIGHT]
    anything = TextQuery(("bright",), threshold=0)
    assert drain(found_by_text(Brightness(), image(), [DARK, BRIGHT], anything)) == [BRIGHT, DARK]
    assert drain(found_by_text(Brightness(), image(), [], query)) == []


def test_crops_are_squares_around_the_mask():
    pixels = np.repeat(image()[..., None], 3, axis=-1)
    whole, alone = mask_crops(pixels, BRIGHT)
    assert whole.shape == alone.shape == (15, 15, 3)
    assert (whole[0, 0, 0], whole[7, 7, 0], alone[0, 0, 0], alone[7, 7, 0]) == (10, 250, 0, 250)
    corner = record(slice(0, 4), slice(56, 60))
    assert mask_crops(pixels, corner)[0].shape == (6, 6, 3)


def test_what_cannot_be_asked_is_told():
    with pytest.raises(ValueError, match="no words"):
        TextQuery((" ",))
    with pytest.raises(ValueError, match="the threshold is 2"):
        TextQuery(("a",), threshold=2)


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    """A CLIP with random weights in a folder, as it would be downloaded."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("clip")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": 8, "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 1}
    vision = {**small, "image_size": 32, "patch_size": 8}
    transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    ).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "?": 2, "a": 3, "nucleus": 4}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="</s>", eos_token="</s>", bos_token="<s>", unk_token="?"
    ).save_pretrained(folder)
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    sides = {"height": 32, "width": 32}
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=sides).save_pretrained(folder)
    return folder


def test_the_library_is_called_as_it_wants_it(tiny_clip):
    clip = Clip(str(tiny_clip))
    words = clip.words(["a nucleus", "background"])
    assert words.shape == (2, 8)
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1, rtol=1e-5)
    scores = drain(text_scores(clip, image(), [BRIGHT, DARK], TextQuery(("a nucleus",))))
    assert ((scores > 0) & (scores < 1)).all()
    with pytest.raises(TextModelError, match="is no folder with a CLIP, and could not be fetched"):
        Clip(str(tiny_clip / "missing"))
