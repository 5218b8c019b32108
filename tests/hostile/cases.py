"""All hostile and broken packages, by name."""

from tests.hostile.case import Case
from tests.hostile.costly_networks import COSTLY_NETWORKS
from tests.hostile.descriptions import DESCRIPTIONS
from tests.hostile.folders import FOLDERS
from tests.hostile.images import IMAGES
from tests.hostile.networks import NETWORKS
from tests.hostile.zips import ZIPS

CASES: dict[str, Case] = {
    **ZIPS,
    **FOLDERS,
    **DESCRIPTIONS,
    **NETWORKS,
    **COSTLY_NETWORKS,
    **IMAGES,
}
