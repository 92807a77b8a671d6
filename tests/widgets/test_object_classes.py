"""Classes of objects: defined, given before and after, undone, shown, made into layers and files. Without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from napari_segany.formats.coco import read_coco
from napari_segany.widgets.class_list import (
    PALETTE,
    ObjectClass,
    label_colours,
    rgba,
    with_class,
    without,
)
from napari_segany.widgets.object_classes import CLASSES_KEY

FLAT = np.zeros((40, 50), np.uint8)


@pytest.fixture
def flat(session, viewer):
    session.choose_image(viewer.add_image(FLAT, name="cells", contrast_limits=(0, 2)))
    return session


def accept(session, *positions):
    for position in positions:
        session.add_point(position)
        session.accept()


@pytest.fixture
def three(flat):
    """Squares of nine pixels, the first two nuclei."""
    flat.classes.add("nucleus")
    flat.classes.add("debris")
    flat.classes.use("nucleus")
    accept(flat, (5, 5), (15, 15))
    flat.classes.use("")
    accept(flat, (25, 25))
    return flat


def classes_of(session):
    features = session.objects.layer.features
    return features["category"].fillna("").tolist()[1:]


def test_a_list_keeps_numbers_and_gives_free_ones_and_unused_colours():
    classes = with_class(with_class(with_class((), "a"), "b"), "c", "#123456")
    assert [(one.number, one.name, one.colour) for one in classes] == [
        (1, "a", PALETTE[0]),
        (2, "b", PALETTE[1]),
        (3, "c", "#123456"),
    ]
    assert [one.number for one in without(classes, "b")] == [1, 3]
    again = with_class(without(classes, "b"), "d")
    assert [(one.number, one.name) for one in again] == [(1, "a"), (2, "d"), (3, "c")]
    assert again[1].key == "Ctrl-2"
    assert ObjectClass(10, "x", "#000000").key == ""


@pytest.mark.parametrize("bad", ["", "  ", "a\nb", "x" * 61])
def test_names_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="the name of a class"):
        with_class((), bad)


def test_bad_input_is_refused_and_changes_nothing(three):
    classes = three.classes
    before = classes.classes
    with pytest.raises(ValueError, match="already"):
        classes.add("nucleus ")
    with pytest.raises(ValueError, match="#rrggbb"):
        classes.add("x", "red")
    with pytest.raises(ValueError, match="there is no class 'y'; there are: nucleus, debris"):
        classes.use("y")
    with pytest.raises(ValueError, match="already"):
        classes.rename("debris", "nucleus")
    with pytest.raises(ValueError, match="there is no object 9"):
        classes.assign("debris", [1, 9])
    three.attempt("classes.choose_number", 7)
    assert "no class 7" in three.status
    assert classes.classes == before
    assert classes_of(three) == ["nucleus", "nucleus", ""]


def test_classes_are_given_before_and_after_and_both_are_undone(three):
    assert classes_of(three) == ["nucleus", "nucleus", ""]
    assert three.classes.counts == {"nucleus": 2, "": 1}
    three.editor.select([2, 3])
    three.attempt("classes.choose_number", 2)
    assert classes_of(three) == ["nucleus", "debris", "debris"]
    assert three.classes.current == "", "the next objects are not concerned"
    three.undo()
    assert classes_of(three) == ["nucleus", "nucleus", ""]
    three.redo()
    assert classes_of(three) == ["nucleus", "debris", "debris"]
    three.attempt("classes.choose_none")
    assert classes_of(three) == ["nucleus", "", ""]
    three.undo()
    three.undo()
    three.undo()
    assert three.editor.labels == (1, 2), "an accepted object and its class are one step"
    three.redo()
    assert three.editor.labels == (1, 2, 3)


def test_with_a_mask_on_offer_a_key_is_for_that_and_not_for_the_selected_objects(three):
    three.editor.select([1])
    three.add_point((5, 30))
    three.attempt("classes.choose_number", 2)
    assert three.classes.current == "debris"
    assert three.accept() == 4
    assert classes_of(three) == ["nucleus", "nucleus", "", "debris"]


def test_a_corrected_object_keeps_its_class(three):
    three.editor.reopen(1)
    three.classes.use("debris")
    three.add_point((6, 6))
    assert three.accept() == 1
    assert classes_of(three)[0] == "nucleus"


def test_renaming_and_removing_take_the_objects_along_and_are_undone(three):
    classes = three.classes
    classes.use("nucleus")
    classes.rename("nucleus", "interphase")
    assert classes_of(three) == ["interphase", "interphase", ""]
    assert classes.current == "interphase"
    assert [one.name for one in three.objects.layer.metadata[CLASSES_KEY]] == ["interphase", "debris"]
    classes.remove("interphase")
    assert classes_of(three) == ["", "", ""]
    assert [one.number for one in classes.classes] == [2]
    three.undo()
    three.undo()
    assert classes_of(three) == ["nucleus", "nucleus", ""]
    assert [one.name for one in classes.classes] == ["nucleus", "debris"]
    assert classes.current == "nucleus"


def test_objects_have_the_colours_of_their_classes_until_that_is_switched_off(three):
    layer = three.objects.layer
    orange = rgba(PALETTE[0])
    shown = layer.get_color(1)
    np.testing.assert_allclose(shown[:3] / shown[:3].max(), orange[:3] / orange[:3].max(), atol=0.01)
    assert not np.allclose(shown, layer.get_color(2)), "neighbours are told apart by their shade"
    three.classes.are_shown = False
    assert layer.colormap.name != "classes"
    three.classes.are_shown = True
    assert layer.colormap.name == "classes"
    for _ in range(20):
        three.undo()
    assert layer.colormap.name != "classes", "without any class objects have napari's colours"
    table = label_colours(["", "a", "", "b"], with_class((), "a"))
    assert (table[0] == 0).all()
    np.testing.assert_allclose(table[2], table[3] * [*[0.64] * 3, 1], atol=0.01)  # both without a class


def test_a_layer_of_classes_and_a_layer_for_each_class(three, viewer):
    three.editor.select([3])
    three.classes.choose("debris")
    three.classes.make_class_layer()
    three.classes.make_layers_by_class()
    semantic, nuclei, debris = (viewer.layers[name] for name in ("classes", "objects: nucleus", "objects: debris"))
    objects = three.objects.layer.data
    np.testing.assert_array_equal(semantic.data, np.array([0, 1, 1, 2])[objects])
    assert semantic.features["category"].tolist() == ["", "nucleus", "debris"]
    np.testing.assert_array_equal(nuclei.data, np.where(objects < 3, objects, 0))
    np.testing.assert_array_equal(np.unique(debris.data), [0, 3])
    assert np.isfinite(debris.features.loc[3, "predicted_iou"])
    count = len(viewer.layers)
    three.editor.delete([1])
    three.classes.make_class_layer()
    assert len(viewer.layers) == count, "it takes the place of the earlier one"
    assert (semantic.data != 0).sum() == 18
    again = three.objects.layer
    image = three.image
    three.choose_image(None)
    three.choose_image(image)
    assert three.objects.layer is again, "the made layers are not taken for the objects"


def test_without_classes_there_is_nothing_to_make(flat, viewer):
    accept(flat, (5, 5))
    count = len(viewer.layers)
    flat.classes.make_class_layer()
    assert len(viewer.layers) == count
    assert "No object has a class" in flat.status


@pytest.mark.usefixtures("known_to_napari")
def test_coco_and_yolo_files_have_the_classes_with_their_numbers(three, tmp_path):
    """Of an image without a nucleus debris has the same number as of others."""
    three.classes.assign("debris", [3])
    three.editor.delete([1, 2])
    layer = three.objects.layer
    layer.save(str(tmp_path / "a.coco.json"))
    data = read_coco(tmp_path / "a.coco.json")
    assert dict(data.categories) == {1: "nucleus", 2: "debris"}
    assert [item.category_id for item in data.images[0].objects] == [2]
    layer.save(str(tmp_path / "a.txt"))
    assert (tmp_path / "a.txt").read_text().split()[0] == "1"


def test_the_next_image_has_the_same_classes_and_its_own_objects(three, viewer):
    first = three.image
    second = viewer.add_image(FLAT.copy(), name="more", contrast_limits=(0, 2))
    three.choose_image(second)
    assert [one.name for one in three.classes.classes] == ["nucleus", "debris"]
    assert three.classes.counts == {}
    three.classes.add("mitosis")
    three.classes.use("mitosis")
    accept(three, (5, 5))
    assert classes_of(three) == ["mitosis"]
    three.choose_image(first)
    assert [one.name for one in three.classes.classes] == ["nucleus", "debris"], "which is what this image had"
    assert three.classes.counts == {"nucleus": 2, "": 1}


def test_classes_that_nobody_defined_are_taken_up_from_a_table(flat, viewer):
    labels = FLAT.astype(np.uint16)
    labels[3:6, 3:6] = 2
    table = {"index": [0, 1, 2], "category": ["", "", "vesicle"]}
    viewer.add_layer(Labels(labels, name="objects", features=table))
    flat.use_object(viewer.layers["objects"], 2)
    accept(flat, (20, 20))
    assert [one.name for one in flat.classes.classes] == ["vesicle"]
    assert flat.classes.counts["vesicle"] == 1
