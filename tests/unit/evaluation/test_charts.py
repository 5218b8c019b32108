"""Charts: what is written in one lies inside of it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from care_bridge.evaluation.charts import line_chart

# Widths of the letters of Verdana, the widest usual sans-serif font, average 0.58 of its size.
LETTER = 0.58 * 12


@pytest.mark.parametrize(
    "names",
    [("loss",), ("member1 validation", "m"), tuple(map(str, range(64)))],
    ids=["short", "long", "many"],
)
def test_a_legend_lies_inside(names: tuple[str, ...]) -> None:
    lines = {name: ((0.0, 1.0), (float(index), 2.0)) for index, name in enumerate(names)}
    chart = ElementTree.fromstring(line_chart(lines, x_label="step", y_label="loss"))
    width, height = float(chart.attrib["width"]), float(chart.attrib["height"])
    assert chart.attrib["viewBox"] == f"0 0 {width:g} {height:g}"
    texts = [each for each in chart.iter() if each.get("text-anchor") == "start"]
    assert [each.text for each in texts] == list(lines)
    for each in texts:
        assert float(each.attrib["x"]) + LETTER * len(each.text or "") <= width
        assert float(each.attrib["y"]) + 4 <= height
