"""What other consumers of packages ask of them, found by running them."""

from care_bridge.package.consumers.description import DESCRIPTION_RULES
from care_bridge.package.consumers.draft import Draft
from care_bridge.package.consumers.metadata import METADATA_RULES
from care_bridge.package.consumers.processing import PROCESSING_RULES
from care_bridge.package.consumers.rule import CONSUMERS, Rule
from care_bridge.package.consumers.sizes import SIZE_RULES
from care_bridge.package.consumers.tensors import TENSOR_RULES
from care_bridge.package.consumers.tested_sizes import TESTED_SIZE_RULES
from care_bridge.package.consumers.weights import WEIGHTS_RULES

RULES: tuple[Rule, ...] = (
    *DESCRIPTION_RULES,
    *METADATA_RULES,
    *TENSOR_RULES,
    *SIZE_RULES,
    *TESTED_SIZE_RULES,
    *PROCESSING_RULES,
    *WEIGHTS_RULES,
)
"""All rules that can be told from the files, in the order in which they are mended."""

__all__ = ["CONSUMERS", "RULES", "Draft", "Rule"]
