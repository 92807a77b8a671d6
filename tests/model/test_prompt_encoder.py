from __future__ import annotations

import math

import pytest
import torch

from napari_segany.model.prompt_encoder import PromptEncoder


@pytest.fixture
def encoder() -> PromptEncoder:
    return PromptEncoder(embed_dim=8, image_size=64, mask_in_chans=4).requires_grad_(False)


def test_positions_are_fourier_features_of_the_pixel_centre(encoder: PromptEncoder):
    matrix = encoder.pe_layer.positional_encoding_gaussian_matrix
    matrix.zero_()
    matrix[0, 0], matrix[1, 1] = 0.25, 0.5  # the first feature sees x only, the second y only
    encoder.point_embeddings[1].weight.zero_()
    sparse, _ = encoder((torch.tensor([[[15.5, 47.5]]]), torch.tensor([[1]])), None, None)
    # (15.5 + 0.5) / 64 = 1/4 becomes -1/2, (47.5 + 0.5) / 64 = 3/4 becomes 1/2
    x, y = 2 * math.pi * 0.25 * -0.5, 2 * math.pi * 0.5 * 0.5
    expected = [math.sin(x), math.sin(y), 0, 0, math.cos(x), math.cos(y), 1, 1]
    torch.testing.assert_close(sparse[0, 0], torch.tensor(expected))


def test_points_alone_are_followed_by_one_that_pads(encoder: PromptEncoder):
    points, labels = torch.rand(2, 3, 2) * 64, torch.tensor([[1, 0, -1], [1, 1, 0]])
    alone, _ = encoder((points, labels), None, None)
    assert alone.shape == (2, 4, 8)
    padding = encoder.not_a_point_embed.weight[0]
    assert torch.equal(alone[0, 2], padding)
    assert torch.equal(alone[:, 3], padding.expand(2, 8))
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 60, 60]])
    together, _ = encoder((points, labels), boxes, None)
    assert together.shape == (2, 5, 8)
    assert torch.equal(together[:, :3], alone[:, :3])


def test_corners_of_a_box_are_points_of_their_own_kind(encoder: PromptEncoder):
    box = torch.tensor([[3.0, 4.0, 30.0, 50.0]])
    sparse, _ = encoder(None, box, None)
    as_points, _ = encoder((box.view(1, 2, 2), torch.tensor([[1, 1]])), None, None)
    kinds = [embedding.weight[0] for embedding in encoder.point_embeddings]
    torch.testing.assert_close(sparse[0, 0] - kinds[2], as_points[0, 0] - kinds[1])
    torch.testing.assert_close(sparse[0, 1] - kinds[3], as_points[0, 1] - kinds[1])


def test_foreground_and_background_differ_by_their_embedding(encoder: PromptEncoder):
    point = torch.tensor([[[10.0, 20.0], [10.0, 20.0]]])
    sparse, _ = encoder((point, torch.tensor([[1, 0]])), None, None)
    kinds = [embedding.weight[0] for embedding in encoder.point_embeddings]
    torch.testing.assert_close(sparse[0, 0] - sparse[0, 1], kinds[1] - kinds[0])


def test_masks_become_the_dense_map(encoder: PromptEncoder):
    sparse, dense = encoder(None, None, torch.randn(3, 1, 16, 16))
    assert sparse.shape == (3, 0, 8)
    assert dense.shape == (3, 8, 4, 4)
    _, none = encoder(None, torch.rand(3, 4), None)
    assert torch.equal(none, encoder.no_mask_embed.weight.view(1, 8, 1, 1).expand(3, 8, 4, 4))


@pytest.mark.parametrize("origin", [(0, 0), (16, 0), (16, 32), (32, 32)])
def test_a_window_has_the_positions_it_has_in_the_canvas(encoder: PromptEncoder, origin: tuple[int, int]):
    whole = encoder.get_dense_pe()
    assert whole.shape == (1, 8, 4, 4)
    column, row = origin[0] // 16, origin[1] // 16
    assert torch.equal(encoder.get_dense_pe((2, 2), origin), whole[:, :, row : row + 2, column : column + 2])
    points, labels = torch.rand(1, 2, 2) * 32, torch.tensor([[1, 0]])
    box = torch.tensor([[1.0, 2.0, 20.0, 30.0]])
    in_window, _ = encoder((points, labels), box, None, grid=(2, 2), origin=origin)
    shift = torch.tensor(origin)
    in_canvas, _ = encoder((points + shift, labels), box + shift.repeat(2), None)
    torch.testing.assert_close(in_window, in_canvas)


def test_an_embedding_larger_than_the_canvas_is_a_canvas_of_its_own(encoder: PromptEncoder):
    larger = PromptEncoder(embed_dim=8, image_size=96, mask_in_chans=4)
    larger.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder.get_dense_pe((6, 6)), larger.get_dense_pe())


def test_impossible_prompts_are_refused(encoder: PromptEncoder):
    with pytest.raises(ValueError, match="there is no prompt"):
        encoder(None, None, None)
    with pytest.raises(ValueError, match=r"expected \(B, 1, 16, 16\)"):
        encoder(None, None, torch.zeros(1, 1, 15, 16))
    with pytest.raises(ValueError, match="multiples of 16"):
        encoder.get_dense_pe((2, 2), (8, 0))
    with pytest.raises(ValueError, match="multiples of 16"):
        encoder.get_dense_pe((2, 2), (-16, 0))
