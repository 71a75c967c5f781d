"""The picture of imports: what counts as up, and what as a cycle."""

from scripts import import_graph


def test_modules_that_import_each_other_are_one_cycle_and_others_none() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"d"}}
    assert import_graph.cycles(imports) == [["a", "b", "c"]]


def test_a_package_that_imports_another_stands_above_it() -> None:
    imports = {
        "p.low.x": set(),
        "p.high.x": {"p.low.x"},
        "p.middle.x": {"p.low.x"},
        "p.high.y": {"p.middle.x"},
    }
    assert import_graph.sort_by_imports(["p.low", "p.middle", "p.high"], imports) == [
        "p.high",
        "p.middle",
        "p.low",
    ]


def test_an_import_of_a_higher_layer_is_drawn_in_red() -> None:
    downward = {"isthmus.cli": {"isthmus.core"}, "isthmus.core": set()}
    assert "imports that go up: 0" in import_graph.draw(downward, "a title")
    upward = {"isthmus.cli": set(), "isthmus.core": {"isthmus.cli"}}
    drawn = import_graph.draw(upward, "a title")
    assert "imports that go up: 1" in drawn
    assert 'fill="#c62828"' in drawn
