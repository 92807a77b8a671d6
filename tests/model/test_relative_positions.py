from __future__ import annotations

import torch

from napari_segany.model.relative_positions import relative_table, resize_grid, resize_table


def test_relative_table_runs_from_key_after_query_to_key_before_query():
    table = torch.tensor([[-2.0], [-1.0], [0.0], [1.0], [2.0]])  # each entry is query minus key
    assert relative_table(table, 3)[..., 0].tolist() == [[0, -1, -2], [1, 0, -1], [2, 1, 0]]


def test_tables_of_positions_are_interpolated():
    ramp = torch.arange(5.0)[:, None].expand(5, 4)
    assert resize_table(ramp, 5) is ramp
    resized = resize_table(ramp, 10)
    assert resized.shape == (10, 4)
    torch.testing.assert_close(resized[1:-1, 0], torch.arange(0.25, 4, 0.5))  # linear, half-pixel centres
    grid = torch.full((1, 4, 4, 3), 7.0)
    torch.testing.assert_close(resize_grid(grid, (6, 9)), torch.full((1, 6, 9, 3), 7.0))
