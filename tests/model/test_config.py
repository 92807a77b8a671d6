from __future__ import annotations

import json

import pytest

from napari_segany.model.config import LIGHT, PRESETS, SamConfig


@pytest.mark.parametrize("name", PRESETS)
def test_configurations_survive_json(name: str):
    assert SamConfig.from_dict(json.loads(json.dumps(PRESETS[name].to_dict()))) == PRESETS[name]


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="SamConfig has no colour"):
        SamConfig.from_dict({**LIGHT.to_dict(), "colour": "red"})
    with pytest.raises(ValueError, match="encoder_type is 'resnet'"):
        SamConfig.from_dict({**LIGHT.to_dict(), "encoder_type": "resnet"})
