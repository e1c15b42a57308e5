from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib as mpl

from flows.report.drawing import INK, SERIES, figure, label_axes, to_svg


def _draw(title: str = "Losses of $5 and <b>", name: str = "one") -> str:
    with figure(4, 2) as drawn:
        axes = drawn.add_subplot()
        axes.plot([0, 1], [1, 3], color=SERIES[0], label="line")
        axes.text(0.5, 2, "here", color=INK)
        label_axes(axes, title, "x", "y")
        axes.legend()
        return str(to_svg(drawn, name, 'a "quoted" <text>'))


def test_same_facts_give_the_same_bytes():
    assert _draw() == _draw()
    assert not re.search(r"20\d\d-\d\d|<metadata|<\?xml|DOCTYPE", _draw())


def test_text_stays_text_and_is_escaped():
    root = ElementTree.fromstring(_draw())  # our own output
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "Losses of $5 and <b>" in texts
    assert root.attrib["aria-label"] == 'a "quoted" <text>'


def test_colours_are_roles_of_the_page():
    text = _draw()
    assert "var(--series-1)" in text
    assert "var(--ink)" in text
    used = set(re.findall(r"#[0-9a-f]{6}\b", text))
    assert used <= {"#000000", "#ffffff"}, "a colour that does not follow light and dark"


def test_ids_do_not_meet_those_of_another_plot():
    ids = [set(re.findall(r'\bid="([^"]+)"', _draw(name=name))) for name in ("one", "two")]
    assert ids[0].isdisjoint(ids[1])
    references = re.findall(r'(?:href="#|url\(#)([^")]+)', _draw())
    assert references
    assert set(references) <= ids[0]


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(mpl.rcParams)
    _draw()
    assert dict(mpl.rcParams) == before
