"""docs/packages.md lists the rules that check has, as they are."""

from pathlib import Path

from care_bridge.package.consumers import RULES
from care_bridge.runtime.mends import MENDS

PAGE = Path(__file__).parents[2] / "docs" / "packages.md"


def test_the_table_of_rules_is_the_rules():
    lines = PAGE.read_text("utf-8").splitlines()
    start = lines.index("| rule | asked by | is | remedy | --fix |") + 2
    rows = [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in lines[start:]]
    table = rows[: rows.index(())]
    assert table == [
        (
            rule.id,
            ", ".join(rule.consumers),
            rule.severity,
            rule.remedy,
            "yes" if rule.mend or rule.id in MENDS else "",
        )
        for rule in RULES
    ]
