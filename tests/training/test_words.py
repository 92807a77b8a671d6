"""Words: objects as pictures, prompts made of them, and a model that follows words it was never given."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.measure import regionprops

from napari_segany.cli.main import main
from napari_segany.engine.clip import Clip
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.evaluation.words import summarise_words, word_score
from napari_segany.model import SamConfig, build_sam, load_sam, save_sam
from napari_segany.training.config import TrainingConfig
from napari_segany.training.gradients import accumulate_gradients
from napari_segany.training.network import start_network
from napari_segany.training.scene import Crop
from napari_segany.training.small_clip import named_pictures, small_clip, teach_clip_steps
from napari_segany.training.synthetic.named_shapes import NAMES, NamedImage
from napari_segany.training.trainer import train
from napari_segany.training.validation import Milestones, ValidationResult, validate
from napari_segany.training.words import picture_objects

SEVEN = np.arange(7, dtype=np.float32)


class MeanColours:
    """Embeds an object as its mean colour."""

    width, picture_size = 3, 16

    def __init__(self) -> None:
        self.asked = 0

    def words(self, texts: list[str]) -> np.ndarray:
        return np.ones((len(texts), 3), np.float32)

    def objects(self, pictures: np.ndarray, inside: np.ndarray) -> np.ndarray:
        self.asked += 1
        return (
            np.stack([picture[own].mean(axis=0) for picture, own in zip(pictures, inside, strict=True)]) + SEVEN[:3]
        )


def test_pictures_are_squares_grown_by_one_to_two_and_half_of_them_black_around_the_object() -> None:
    image = np.full((60, 80, 3), 100, np.float32)
    mask = np.zeros((60, 80), bool)
    mask[20:30, 30:50] = True
    image[mask] = (200, 50, 50)
    pictures, inside = picture_objects(
        image, np.repeat(mask[None], 400, axis=0), 40, torch.Generator().manual_seed(1)
    )
    assert pictures.shape == (400, 40, 40, 3)
    # The object is twice as wide as high, and the square is 1 to 2 times as wide.
    widths = inside.any(axis=1).sum(axis=1)
    assert widths.min() >= 20
    assert widths.max() == 40
    assert abs(np.mean(40 / widths) - 1.5) < 0.06
    corners = pictures[:, 0, 0, 0]
    assert set(np.unique(corners)) == {0, 100}
    assert abs(np.mean(corners == 0) - 0.5) < 0.08
    assert (pictures[:, 20, 20, 0] > 190).all()


def test_the_first_prompt_is_an_embedding_as_often_as_the_configuration_says(
    tiny_shape: SamConfig, tiny_training: TrainingConfig
) -> None:
    sam = build_sam(dataclasses.replace(tiny_shape, text_embed_dim=3))
    masks = np.zeros((2, 64, 64), bool)
    masks[0, 5:20, 5:20] = masks[1, 30:50, 30:60] = True
    image = np.random.default_rng(0).uniform(0, 255, (64, 64, 3)).astype(np.float32)
    crops = [Crop(image, masks)] * 12
    for share, least, most in ((0.0, 0, 0), (0.5, 2, 10), (1.0, 12, 12)):
        clip = MeanColours()
        config = dataclasses.replace(tiny_training, text_share=share, rounds=2, trainable="decoder")
        results = accumulate_gradients(sam, crops, config, torch.Generator().manual_seed(0), clip=clip)
        assert least <= clip.asked <= most
        assert all(np.isfinite(result.loss) for result in results)
        gradient = sam.prompt_encoder.text_projection.weight.grad
        assert (gradient is not None and bool(gradient.any())) == (share > 0)
        sam.zero_grad()


def test_a_trained_model_gets_a_projection_and_keeps_the_rest(
    tiny_shape: SamConfig, tiny_training: TrainingConfig, tiny_weights: Path, tmp_path: Path
) -> None:
    sam = start_network(tiny_training, tiny_weights, text_embed_dim=5)
    before = load_sam(tiny_weights).state_dict()
    assert all(torch.equal(sam.state_dict()[key], value) for key, value in before.items())
    assert sam.config.text_embed_dim == 5
    save_sam(sam, tmp_path / "words.safetensors")
    assert start_network(tiny_training, tmp_path / "words.safetensors").config.text_embed_dim == 5
    with pytest.raises(ValueError, match="was trained with a CLIP that gives 5 numbers and text_model gives 6"):
        start_network(tiny_training, tmp_path / "words.safetensors", text_embed_dim=6)


def test_the_best_step_is_that_which_follows_pictures_best(tiny_shape: SamConfig) -> None:
    sam = build_sam(dataclasses.replace(tiny_shape, text_embed_dim=3))
    images, clip = [NamedImage(0, number) for number in range(2)], MeanColours()
    result = drain(validate(sam, images, 3, 0, clip=clip))
    assert result.text is not None
    assert (0 <= result.text <= 1, clip.asked) == (True, 2)
    assert drain(validate(sam, images, 3, 0)).text is None
    click, box = ValidationResult(0.9, 0.9, 0.9, 0.1, 0.2), ValidationResult(0.1, 0.9, 0.9, 0.1, 0.3)
    assert Milestones().after(0, click).after(5, box).best_step == 5


def test_shapes_have_names_that_are_true() -> None:
    for number in range(8):
        image, masks, names = NamedImage(0, number, one_of_a_colour=True).objects()
        assert 2 <= len(masks) == len(names) <= 4
        assert (masks.sum(axis=0) <= 1).all()
        colours = [name.split()[1] for name in names]
        assert len(set(colours)) == len(colours)
        for mask, name in zip(masks, names, strict=True):
            red, green, blue = image[mask].mean(axis=0)
            seen = "yellow" if min(red, green) > 150 else ("red", "green", "blue")[np.argmax((red, green, blue))]
            assert seen == name.split()[1]
            (region,) = regionprops(mask.astype(np.uint8))
            assert (region.solidity < 0.8) == ("cross" in name)


@pytest.mark.slow
def test_words_find_what_they_name_though_none_was_trained_with(
    pyramid_shape: SamConfig, tiny_training: TrainingConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    small_clip(" ".join(NAMES).split(), tmp_path / "clip")
    pictures, names = named_pictures([NamedImage(1, number) for number in range(100)])
    drain(teach_clip_steps(tmp_path / "clip", pictures, names, steps=30))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_sam(build_sam(pyramid_shape), tmp_path / "start.safetensors", dtype=None)
    config = dataclasses.replace(
        tiny_training, steps=36, batch_size=5, rounds=1, text_share=1.0, text_model=str(tmp_path / "clip"),
        light_share=0.0, scale_jitter=(0.9, 1.1), procedural_share=0.0, validation_share=0.0, learning_rate=1e-2,
        warmup_steps=10, schedule="cosine", drop_path=0.0, focal_weight=4.0, loss_stride=4, checkpoint_every=36,
        ema_decay=0.8,
    )  # fmt: skip
    images = [NamedImage(2, number, one_of_a_colour=True) for number in range(60)]
    steps = train(config, images, tmp_path / "run", init=tmp_path / "start.safetensors", device="cpu")
    predictor = Predictor(drain(steps).weights, device="cpu")
    clip = Clip(str(tmp_path / "clip"))
    unseen = [NamedImage(3, number, one_of_a_colour=True) for number in range(24)]
    found = summarise_words([word_score(predictor, clip, *image.objects()) for image in unseen])
    assert found.right.low > 0.25  # the named object
    assert found.gain.low > 0.15  # better than what the wrong word finds, in the same images
    assert found.found.low > found.chance + 0.1
    image = tmp_path / "shapes.png"
    pixels, _, names = unseen[0].objects()
    Image.fromarray(pixels).save(image)
    arguments = ["segment", str(image), "--model", str(tmp_path / "run/weights.safetensors"), "--device", "cpu"]
    arguments += ["--precision", "float32"]  # as the predictor has it
    assert main([*arguments, "--text", names[0], "-o", str(tmp_path / "mask.png")]) == 0
    told = clip.words([names[0]])[0]
    expected = predictor.predict(predictor.encode(pixels), text=told).masks[0]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "mask.png")) > 0, expected)
    assert main([*arguments, "--text-model", "x", "--point", "3,3", "-o", str(tmp_path / "mask.png")]) == 2
    light = [*arguments[:3], "light", "--text", "a disc", "-o", str(tmp_path / "mask.png")]
    assert main(light) == 2
    assert "light takes points, boxes and masks alone" in capsys.readouterr().err
