from __future__ import annotations

import torch

from napari_segany.model.prompt_cells import RunningSums


def test_a_softmax_over_cells_that_come_one_part_after_the_other():
    torch.manual_seed(0)
    logits, values = 30 * torch.randn(2, 3, 50, dtype=torch.float64), torch.randn(50, 4, dtype=torch.float64)
    sums = RunningSums()
    for some in torch.arange(50).split(7):
        sums.add(sums.weighted(logits[..., some].clone()) @ values[some])
    (found,) = sums.means()
    torch.testing.assert_close(found, logits.softmax(dim=-1) @ values, rtol=1e-12, atol=1e-12)
