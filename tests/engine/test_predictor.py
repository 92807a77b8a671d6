from __future__ import annotations

import json
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from napari_segany.engine import predictor as module
from napari_segany.engine.device import DeviceFallbackWarning, NotEnoughMemoryError
from napari_segany.engine.image import model_input
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.formats.rle import RunLengths
from napari_segany.model import SamConfig, ViTConfig, build_sam

QUESTIONS = [
    (name, mode)
    for name in ("point", "points", "box", "box_points", "mask", "mask_points")
    for mode in ("multi", "single")
    if (name, mode) not in {("mask", "single"), ("mask_points", "multi")}
]


@pytest.fixture(scope="module")
def mini(mini_sam):
    return Predictor(mini_sam, device="cpu")


@pytest.fixture(scope="module")
def reference(parity):
    return dict(np.load(parity / "mini.npz"))


@pytest.fixture(scope="module")
def coffee(mini):
    from skimage.data import coffee

    return mini.encode(coffee())


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (60, 100, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def embedding(predictor, noise):
    return predictor.encode(noise)


def prompt_of(reference: dict, name: str) -> dict:
    """The reference's prompt, from (x, y) to (row, col)."""
    prompt = {}
    if f"{name}/point_coords" in reference:
        prompt["points"] = reference[f"{name}/point_coords"][:, ::-1]
        prompt["labels"] = reference[f"{name}/point_labels"]
    if f"{name}/box" in reference:
        prompt["box"] = reference[f"{name}/box"][[1, 0, 3, 2]]
    if name.startswith("mask"):
        prompt["mask"] = reference["mask/mask_input"][0]
    return prompt


class TestParity:
    """Equal to the published implementation, as the reference's README defines it."""

    def test_embedding(self, coffee, reference):
        expected = reference["embedding"]
        assert coffee.features.shape == (1, 256, 16, 16)
        np.testing.assert_allclose(coffee.features[0].numpy(), expected, rtol=0, atol=1e-3 * np.abs(expected).max())
        assert coffee.image_shape == (400, 600)
        assert coffee.input_shape == (171, 256)
        assert coffee.nbytes == 256 * 16 * 16 * 4

    @pytest.mark.parametrize(("name", "mode"), QUESTIONS)
    def test_answers(self, mini, coffee, reference, name, mode):
        prediction = mini.predict(coffee, **prompt_of(reference, name), multimask=mode == "multi")
        iou = reference[f"{name}/{mode}/iou"]
        order = np.argsort(-iou)
        low_res = reference[f"{name}/{mode}/low_res"][order]
        np.testing.assert_allclose(prediction.predicted_iou, iou[order], rtol=0, atol=1e-3)
        np.testing.assert_allclose(prediction.logits, low_res, rtol=0, atol=1e-3 * np.abs(low_res).max())
        if f"{name}/{mode}/area" in reference:
            areas = prediction.masks.sum(axis=(1, 2))
            np.testing.assert_allclose(areas, reference[f"{name}/{mode}/area"][order], rtol=1e-3)
            logits_8 = reference[f"{name}/{mode}/logits_8"][order]
            sure = np.abs(logits_8) > 1e-3 * np.abs(logits_8).max()
            np.testing.assert_array_equal(prediction.masks[:, ::8, ::8][sure], (logits_8 > 0)[sure])

    def test_full_size_logits(self, mini, coffee, reference):
        low_res = torch.from_numpy(reference["point/multi/low_res"])[None]
        full = mini.sam.upscale(low_res, coffee.input_shape, coffee.image_shape)[0].numpy()
        expected = reference["point/multi/logits_8"]
        np.testing.assert_allclose(full[:, ::8, ::8], expected, rtol=0, atol=1e-3 * np.abs(expected).max())

    def test_scores_of_trained_masks(self, mini_config, parity):
        """Masks, predicted IoU and stability score at the points that the automatic generator asked."""
        sam = build_sam(mini_config)
        weights = np.load(parity / "mini_trained.npz")
        sam.load_state_dict({key: torch.from_numpy(weights[key].astype(np.float32)) for key in weights})
        scene = np.load(parity / "amg.npz")
        trained = Predictor(sam, device="cpu")
        embedding = trained.encode(scene["full/image"])
        for expected in json.loads(str(scene["full/masks"])):
            ((x, y),) = expected["point_coords"]
            prediction = trained.predict(embedding, points=[(y, x)])
            mask = RunLengths.from_dict(expected["rle"]).decode()
            overlaps = (prediction.masks & mask).sum((1, 2)) / (prediction.masks | mask).sum((1, 2))
            best = overlaps.argmax()
            assert overlaps[best] > 0.99
            assert prediction.predicted_iou[best] == pytest.approx(expected["predicted_iou"], abs=1e-3)
            assert prediction.stability_score[best] == pytest.approx(expected["stability_score"], abs=1e-3)
            assert prediction.masks[best].sum() == pytest.approx(expected["area"], rel=1e-3)


class TestAnswers:
    """Shapes, order and number of the masks."""

    def test_a_single_point_has_three_masks_best_first(self, predictor, embedding):
        prediction = predictor.predict(embedding, points=[(20, 30)])
        assert prediction.masks.shape == (3, 60, 100)
        assert prediction.masks.dtype == np.bool_
        assert prediction.logits.shape == (3, 32, 32)
        assert len(prediction) == 3
        assert (np.diff(prediction.predicted_iou) <= 0).all()
        assert prediction.predicted_iou.dtype == prediction.stability_score.dtype == np.float32
        assert ((prediction.stability_score >= 0) & (prediction.stability_score <= 1)).all()

    @pytest.mark.parametrize(
        "prompt",
        [
            {"points": [(20, 30), (5, 5)], "labels": [1, 0]},
            {"box": (3, 4, 20, 30)},
            {"points": [(20, 30)], "box": (3, 4, 40, 50)},
            {"points": [(20, 30)], "mask": np.zeros((32, 32), np.float32)},
            {"mask": np.ones((60, 100), bool)},
        ],
    )
    def test_anything_else_has_one(self, predictor, embedding, prompt):
        assert predictor.predict(embedding, **prompt).masks.shape == (1, 60, 100)
        assert predictor.predict(embedding, **prompt, multimask=True).masks.shape == (3, 60, 100)

    def test_one_mask_can_be_asked_for(self, predictor, embedding):
        assert len(predictor.predict(embedding, points=[(20, 30)], multimask=False)) == 1

    def test_a_batch_equals_its_prompts(self, predictor, embedding):
        points = np.array([[(20, 30), (1, 2)], [(50, 90), (10, 10)], [(0, 0), (59, 99)]])
        boxes = np.array([(3, 4, 20, 30), (10, 10, 55, 95), (0, 0, 59, 99)])
        labels = np.array([[1, 0], [1, 1], [0, 1]])
        batch = predictor.predict(embedding, points=points, labels=labels, box=boxes, multimask=True)
        assert batch.masks.shape == (3, 3, 60, 100)
        assert batch.logits.shape == (3, 3, 32, 32)
        for index in range(3):
            alone = predictor.predict(
                embedding, points=points[index], labels=labels[index], box=boxes[index], multimask=True
            )
            np.testing.assert_allclose(batch.logits[index], alone.logits, atol=1e-4)
            np.testing.assert_allclose(batch.predicted_iou[index], alone.predicted_iou, atol=1e-5)
            assert (batch.masks[index] != alone.masks).mean() < 1e-3

    def test_a_batch_of_one_keeps_its_axis(self, predictor, embedding):
        assert predictor.predict(embedding, box=[(3, 4, 20, 30)]).masks.shape == (1, 1, 60, 100)

    def test_large_batches_are_answered_in_parts(self, predictor, embedding, monkeypatch):
        points = np.random.default_rng(0).uniform(0, 59, (7, 1, 2))
        whole = predictor.predict(embedding, points=points)
        monkeypatch.setattr(module, "_PROMPTS_AT_A_TIME", 3)
        np.testing.assert_allclose(predictor.predict(embedding, points=points).logits, whole.logits, atol=1e-4)

    def test_logits_refine_the_next_answer(self, predictor, embedding):
        first = predictor.predict(embedding, points=[(20, 30)])
        points = {"points": [(20, 30), (40, 60)], "labels": [1, 0]}
        plain = predictor.predict(embedding, **points)
        refined = predictor.predict(embedding, **points, mask=first.logits[0])
        other = predictor.predict(embedding, **points, mask=first.logits[1])
        assert np.abs(refined.logits - plain.logits).max() > 1e-6
        assert np.abs(refined.logits - other.logits).max() > 1e-6

    def test_rows_are_rows(self, mini, coffee):
        """Swapping row and column asks another question."""
        one = mini.predict(coffee, points=[(100, 300)])
        two = mini.predict(coffee, points=[(300, 100)])
        assert np.abs(one.logits - two.logits).max() > 0.1

    def test_grey_images_are_equal_channels(self, predictor):
        grey = np.random.default_rng(0).integers(0, 256, (50, 40)).astype(np.uint8)
        one, three = predictor.encode(grey), predictor.encode(np.stack([grey] * 3, axis=-1))
        torch.testing.assert_close(one.features, three.features)

    def test_contrast_limits_are_used_and_told(self, predictor):
        image = np.random.default_rng(0).integers(0, 4096, (50, 40)).astype(np.uint16)
        embedding = predictor.encode(image, contrast_limits=(100, 3000))
        assert embedding.contrast_limits == (100, 3000)
        expected = model_input(((image.clip(100, 3000) - 100.0) / 2900), 128, (0, 1)).pixels
        pixels = torch.from_numpy(expected).permute(2, 0, 1)[None]
        with torch.inference_mode():
            features = predictor.sam.encode(predictor.sam.preprocess(pixels)).embedding
        torch.testing.assert_close(embedding.features, features, rtol=1e-4, atol=1e-4)


class TestRefusals:
    """Errors in words."""

    def test_an_embedding_of_another_model(self, predictor, embedding):
        other = Predictor(build_sam(predictor.sam.config), device="cpu")
        assert other.name != predictor.name
        with pytest.raises(ValueError, match=f"made by {predictor.name}.*encode the image"):
            other.predict(embedding, points=[(1, 2)])

    def test_a_prompt_for_another_image(self, predictor, embedding):
        prompt = module.Prompt.checked([(1, 2)], image_shape=(61, 100))
        with pytest.raises(ValueError, match=r"\(61, 100\)"):
            predictor.answer(embedding, prompt)

    @pytest.mark.parametrize(
        "prompt", [{}, {"points": [(60, 0)]}, {"points": [(1, 2)], "labels": [7]}, {"mask": np.zeros((64, 64))}]
    )
    def test_wrong_prompts(self, predictor, embedding, prompt):
        with pytest.raises(ValueError, match=r"give|allowed|rows go"):
            predictor.predict(embedding, **prompt)

    def test_what_is_no_image(self, predictor):
        with pytest.raises(ValueError, match="shape"):
            predictor.encode(np.zeros((2, 3, 4, 5)))

    def test_unknown_devices(self, predictor):
        with pytest.raises(ValueError, match="available"):
            Predictor(predictor.sam, device="tpu")


class TestNames:
    """A model's name tells its weights."""

    def test_the_package_brings_light(self, noise):
        light = Predictor("light", device="cpu")
        assert light.name == "light"
        assert light.predict(light.encode(noise), points=[(20, 30)]).masks.shape == (3, 60, 100)

    def test_light_finds_the_nucleus_that_a_threshold_finds(self):
        from skimage import data, filters, measure

        image = data.immunohistochemistry()
        dark = filters.gaussian(255 - image[..., 0].astype(float), 1)
        regions = measure.label(dark > filters.threshold_otsu(dark[225:285, 267:327]))
        nucleus = regions == regions[255, 297]
        assert 100 < nucleus.sum() < 400, "of 14 pixels across"
        light = Predictor("light", device="cpu")
        masks = light.predict(light.encode(image), points=[(255, 297)]).masks
        agreement = [(mask & nucleus).sum() / (mask | nucleus).sum() for mask in masks]
        # It touches another one: the first mask may be drawn more widely than the threshold has it.
        assert agreement[0] > 0.6
        assert max(agreement) > 0.8

    def test_the_model_is_in_evaluation(self, predictor):
        assert not predictor.sam.training
        assert not any(child.training for child in predictor.sam.modules())


class TestSteps:
    """Long work reports itself and can be stopped."""

    def test_progress_counts_to_its_end(self, predictor, noise):
        seen = []
        embedding = drain(predictor.encode_steps(noise), seen.append)
        assert seen[-1].done == seen[-1].total > 0
        assert all(progress.note for progress in seen)
        torch.testing.assert_close(embedding.features, predictor.encode(noise).features)

    def test_closing_stops(self, predictor, noise):
        steps = predictor.encode_steps(noise)
        next(steps)
        next(steps)
        steps.close()
        with pytest.raises(StopIteration):
            next(steps)

    def test_the_driving_thread_keeps_its_own_mode(self, predictor, noise):
        steps = predictor.encode_steps(noise)
        for _ in steps:
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()

    def test_may_start_in_one_thread_and_end_in_another(self, predictor, noise, embedding):
        steps = predictor.encode_steps(noise)
        next(steps)
        next(steps)
        results = []
        thread = threading.Thread(target=lambda: results.append(drain(steps)))
        thread.start()
        thread.join()
        torch.testing.assert_close(results[0].features, embedding.features)
        prediction = predictor.predict(results[0], points=[(20, 30)])
        np.testing.assert_array_equal(prediction.masks, predictor.predict(embedding, points=[(20, 30)]).masks)


class ExhaustedEncoder(nn.Module):
    """Runs out of memory a given number of times, also as a copy, and then encodes."""

    def __init__(self, encoder: nn.Module, errors: list[BaseException]) -> None:
        super().__init__()
        self.encoder = encoder
        self.errors = errors

    def __deepcopy__(self, memo: dict) -> ExhaustedEncoder:
        return ExhaustedEncoder(self.encoder, self.errors)

    def steps(self, x):
        yield 0, 1
        if self.errors:
            raise self.errors.pop()
        return (yield from self.encoder.steps(x))


def exhausted(errors: list[BaseException]) -> Predictor:
    sam = build_sam(
        SamConfig(
            image_size=64,
            encoder=ViTConfig(embed_dim=16, depth=1, num_heads=2, window_size=2, global_attn_indexes=(0,)),
        )
    )
    sam.image_encoder = ExhaustedEncoder(sam.image_encoder, errors)
    return Predictor(sam, device="cpu")


class TestMemory:
    """What happens when it runs out."""

    IMAGE = np.zeros((20, 30), np.uint8)

    @pytest.fixture
    def on_a_gpu(self, monkeypatch):
        """Predictors say that they are on a GPU."""
        monkeypatch.setattr(Predictor, "device", property(lambda self: torch.device("cuda")))

    @pytest.mark.parametrize(
        "error",
        [torch.cuda.OutOfMemoryError("CUDA out of memory"), RuntimeError("MPS backend out of memory"), MemoryError()],
    )
    def test_the_cpu_takes_over_once_and_says_so(self, on_a_gpu, error):
        exhausted_predictor = exhausted([error])
        before, seen = exhausted_predictor.sam, []
        with pytest.warns(DeviceFallbackWarning, match="CUDA is out of memory"):
            features = drain(exhausted_predictor._features(model_input(self.IMAGE, 64)), seen.append)
        assert features.embedding.shape == (1, 256, 4, 4)
        assert "out of memory" in seen[-1].note
        assert "CPU" in seen[-1].note
        assert exhausted_predictor.sam is not before
        for key, tensor in exhausted_predictor.sam.state_dict().items():
            torch.testing.assert_close(tensor, before.state_dict()[key])
            assert tensor.device.type == "cpu"

    def test_the_cpu_too_may_have_too_little(self, on_a_gpu):
        errors = [MemoryError(), RuntimeError("CUDA out of memory")]
        with (
            pytest.warns(DeviceFallbackWarning),
            pytest.raises(NotEnoughMemoryError, match="smaller model"),
        ):
            drain(exhausted(errors)._features(model_input(self.IMAGE, 64)))

    def test_on_the_cpu_there_is_nothing_to_fall_back_to(self):
        tight = exhausted([RuntimeError("DefaultCPUAllocator: can't allocate memory")])
        with (
            warnings.catch_warnings(record=True) as caught,
            pytest.raises(NotEnoughMemoryError, match=r"CPU.*'light'"),
        ):
            tight.encode(self.IMAGE)
        assert not caught

    def test_other_errors_pass(self):
        with pytest.raises(RuntimeError, match="shape mismatch"):
            exhausted([RuntimeError("shape mismatch")]).encode(self.IMAGE)

    def test_a_prompt_may_need_too_much(self, predictor, embedding, monkeypatch):
        def raising(*args: object) -> None:
            raise MemoryError

        monkeypatch.setattr(predictor.sam, "upscale", raising)
        with pytest.raises(NotEnoughMemoryError, match="answer this prompt"):
            predictor.predict(embedding, points=[(1, 2)])
