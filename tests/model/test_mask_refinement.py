"""The second look at masks: it begins by changing nothing and sees far."""

from __future__ import annotations

import pytest
import torch

from napari_segany.model import build_sam
from napari_segany.model.config import PRESETS, SamConfig
from napari_segany.model.mask_refinement import MaskRefinement


def woken(refinement: MaskRefinement) -> MaskRefinement:
    """Let it change the map, as after training."""
    torch.nn.init.normal_(refinement.leave.weight, std=0.1)
    return refinement


@torch.no_grad()
@pytest.mark.parametrize("grid", [(16, 16), (7, 13), (1, 1)])
def test_it_begins_by_changing_nothing_on_grids_of_any_size(grid: tuple[int, int]):
    drawn, logits = torch.randn(3, 8, *grid), torch.randn(3, 4, *grid)
    assert torch.equal(MaskRefinement(8, 4)(drawn, logits), drawn)


@torch.no_grad()
def test_a_first_mask_changes_the_map_far_away_and_not_everywhere():
    torch.manual_seed(0)
    refinement = woken(MaskRefinement(8, 4))
    drawn, logits = torch.randn(1, 8, 80, 80), torch.zeros(1, 4, 80, 80)
    elsewhere = logits.clone()
    elsewhere[..., 40, 0] = 9
    changed = (refinement(drawn, elsewhere) - refinement(drawn, logits)).abs().amax(dim=(0, 1))
    assert changed[40, 12] > 0  # 12 cells away: 96 px
    assert changed[:, 24:].max() == 0


def test_every_weight_learns_once_it_has_begun():
    refinement = woken(MaskRefinement(8, 4))
    refinement(torch.randn(2, 8, 32, 32), torch.randn(2, 4, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in refinement.parameters())


def test_the_configuration_tells_that_it_is_there():
    assert SamConfig.from_dict(PRESETS["light"].to_dict()) == PRESETS["light"]
    assert PRESETS["light"].mask_refinement
    assert build_sam("light").mask_decoder.refinement is not None
