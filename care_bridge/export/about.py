"""What people say of a model that they export."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from care_bridge.errors import ConfigError
from care_bridge.export.tasks import TASKS
from care_bridge.package.consumers.metadata import (
    NAME_LENGTHS,
    name_is_usable,
    nickname_of,
    usable_name,
)
from care_bridge.package.rdf import is_dataset, is_license, is_orcid, is_version
from care_bridge.package.rdf_content import Paper, Person
from care_bridge.training.checkpoint import Checkpoint

_LONGEST_DESCRIPTION = 1024
_LIKE_ORCID = re.compile(r"(https?://orcid\.org/.*)|[\dXx -]*\d[\dXx -]*")
_GITHUB = re.compile(r"@[A-Za-z0-9][A-Za-z0-9-]*")
_DOI = re.compile(r"10\.\d{4,}/\S+")


@dataclass(frozen=True)
class About:
    """Metadata of a package. name: 5 to 128 letters, digits, blanks and _+-(). license: an SPDX id,
    "" where none was chosen. tags: besides those of tags.py. version: of the model, a later one is
    greater.

    authors, maintainers: texts "NAME; AFFILIATION; ORCID; @GITHUB", of which all but the name may
    be left out, in any order; maintainers need the GitHub name. cite: texts "REFERENCE; DOI",
    besides the papers of the task. training_data: what it was trained on, for the model card;
    dataset: its id on bioimage.io. modality: the kind of microscope. pixel_size: of the training
    images, lowest and highest in micrometres by axis (Z, Y, X); {}: as their files say. limits:
    sentences on what the model is not for. Raises ConfigError where something cannot be used.
    """

    name: str
    description: str
    authors: tuple[str, ...] = ()
    license: str = ""
    tags: tuple[str, ...] = ()
    version: str = "0.1.0"
    maintainers: tuple[str, ...] = ()
    cite: tuple[str, ...] = ()
    training_data: str = ""
    dataset: str = ""
    modality: str = ""
    pixel_size: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    limits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not name_is_usable(self.name) or not self.nickname:
            raise ConfigError(
                f'the name "{self.name}" cannot be used: give {NAME_LENGTHS[0]} to '
                f"{NAME_LENGTHS[-1]} letters, digits, blanks or characters of _+-(), and not only "
                "the latter"
            )
        if len(self.description) > _LONGEST_DESCRIPTION:
            raise ConfigError(
                f"the description has {len(self.description)} characters, at most "
                f"{_LONGEST_DESCRIPTION} can be used"
            )
        if self.license and not is_license(self.license):
            raise ConfigError(
                f'the license "{self.license}" is unknown: give an SPDX id such as CC-BY-4.0'
            )
        if not is_version(self.version):
            raise ConfigError(
                f'the version "{self.version}" cannot be used: give numbers such as 1.2.0'
            )
        if self.dataset and not is_dataset(self.dataset):
            raise ConfigError(
                f'the dataset "{self.dataset}" cannot be an id on bioimage.io: give one such as '
                "happy-elephant or 10.5281/zenodo.1234"
            )
        for text in self.authors:
            person(text)
        for text in self.maintainers:
            if not person(text).github_user:
                raise ConfigError(
                    f'the maintainer "{text}" has no GitHub name: write "NAME; @GITHUB"'
                )
        for text in self.cite:
            paper(text)
        for axis, (low, high) in self.pixel_size.items():
            if axis not in "ZYX" or not 0 < low <= high < math.inf:
                raise ConfigError(
                    f"the pixel size {low:g} to {high:g} along {axis} cannot be used: give the "
                    "lowest and the highest in micrometres along Z, Y or X"
                )

    @property
    def nickname(self) -> str:
        """The name in lower-case letters, digits and hyphens."""
        return nickname_of(self.name)


def person(text: str) -> Person:
    """The person of a text as in `About`; ConfigError where it has no name, or a part that is
    meant for an ORCID or a GitHub name and is none."""
    name, *parts = (part.strip() for part in text.split(";"))
    more = [part for part in parts if part]
    if not name or "/" in name:
        raise ConfigError(
            f'"{text}" has no name that can be used: write "NAME; AFFILIATION", without "/"'
        )
    github = [part for part in more if part.startswith("@")]
    orcid = [part for part in more if _LIKE_ORCID.fullmatch(part)]
    if len(orcid) > 1 or not all(map(is_orcid, orcid)):
        raise ConfigError(
            f'"{orcid[-1]}" of "{text}" is no ORCID: write it as 0000-0002-1825-0097, one a person'
        )
    if len(github) > 1 or not all(map(_GITHUB.fullmatch, github)):
        raise ConfigError(f'"{github[-1]}" of "{text}" is no GitHub name: write one, as @name')
    affiliation = [part for part in more if part not in (*github, *orcid)]
    return Person(name, "; ".join(affiliation), "".join(orcid), "".join(github).removeprefix("@"))


def paper(text: str) -> Paper:
    """The paper of a text as in `About`; ConfigError where it has no DOI."""
    reference, _, doi = text.rpartition(";")
    doi = doi.strip().removeprefix("https://doi.org/").removeprefix("doi:")
    if not reference or not _DOI.fullmatch(doi):
        raise ConfigError(f'the reference "{text}" has no DOI: write "REFERENCE; 10.1234/abc"')
    return Paper(reference.strip(), doi)


def default_name(checkpoint: Checkpoint, run: str) -> str:
    """A name for the model trained in the run folder called `run`."""
    task = TASKS[checkpoint.config.task]
    return usable_name(f"{task.name} {task.dimensions(checkpoint.axes)}D {run}")


def default_description(checkpoint: Checkpoint) -> str:
    """One sentence on what the model does."""
    task = TASKS[checkpoint.config.task]
    return (
        f"Restores {task.dimensions(checkpoint.axes)}D microscopy images: a {task.network} trained "
        f"on {task.trained_on}"
    )
