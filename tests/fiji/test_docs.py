"""What is written for macro users names every option there is."""

from pathlib import Path

import pytest

from care_bridge.bundled import bundled_folder
from care_bridge.runtime.options import RestoreOptions

NAMES = [option.name for option in RestoreOptions.all()]
DOCS = Path(__file__).parents[2] / "docs" / "fiji.md"
BATCH = bundled_folder("fiji_macros") / "Batch_Restore.ijm"


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_in_the_docs_and_in_the_batch_macro(name):
    assert f"| `{name}` |" in DOCS.read_text("utf-8")
    assert name in BATCH.read_text("utf-8")
