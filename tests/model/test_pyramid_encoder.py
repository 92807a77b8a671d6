from __future__ import annotations

import pytest
import torch

from napari_segany.generators import drain
from napari_segany.model import PyramidConfig, Sam
from napari_segany.model.pyramid_encoder import PyramidEncoder, ResidualBlock


@torch.no_grad()
def test_scales_have_the_strides_they_are_named_for(pyramid: Sam):
    embedding, (fine, middle) = drain(pyramid.image_encoder.steps(torch.randn(2, 3, 96, 64)))
    assert embedding.shape == (2, 256, 6, 4)
    assert fine.shape == (2, 8, 24, 16)
    assert middle.shape == (2, 16, 12, 8)


@torch.no_grad()
def test_an_odd_number_of_coarse_cells_is_no_obstacle(pyramid: Sam):
    embedding, _ = drain(pyramid.image_encoder.steps(torch.randn(1, 3, 48, 80)))
    assert embedding.shape == (1, 256, 3, 5)


def test_a_new_residual_block_is_the_identity_on_what_is_positive():
    x = torch.rand(2, 8, 5, 5)
    assert torch.equal(ResidualBlock(8, 0.0).eval()(x), x)


@torch.no_grad()
def test_the_same_picture_elsewhere_has_the_same_features():
    encoder = PyramidEncoder(PyramidConfig((8, 16, 24, 32), (1, 1, 1, 1), (8, 16))).eval()
    image = torch.zeros(1, 3, 512, 512)
    patch = torch.randn(3, 32, 32)
    image[0, :, 128:160, 128:160] = patch
    moved = torch.zeros_like(image)
    moved[0, :, 192:224, 256:288] = patch
    _, (fine, _) = drain(encoder.steps(image))
    _, (fine_moved, _) = drain(encoder.steps(moved))
    torch.testing.assert_close(fine[..., 28:44, 28:44], fine_moved[..., 44:60, 60:76], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_stochastic_depth_grows_towards_the_last_block(rate: float):
    encoder = PyramidEncoder(PyramidConfig((8, 16, 24, 32), (1, 2, 1, 1), (8, 16), drop_path_rate=rate))
    rates = [block.drop_path.rate for stage in encoder.stages for block in stage]
    assert rates == pytest.approx([rate * number / 4 for number in range(5)])
