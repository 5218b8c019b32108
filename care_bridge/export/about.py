"""What a package says of its model to people: metadata and the model card."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from care_bridge.errors import ConfigError
from care_bridge.normalization import Percentiles
from care_bridge.package.rdf import is_license
from care_bridge.package.rdf_content import Card, Paper
from care_bridge.package.spec import ModelSpec
from care_bridge.training.checkpoint import Checkpoint

_NAME_CHARACTERS = string.ascii_letters + string.digits + "_+- ()"
_NAME_LENGTHS = range(5, 129)
_LONGEST_DESCRIPTION = 1024


@dataclass(frozen=True)
class _TaskWords:
    """What a task is called. trained_on: the end of a sentence. papers: to cite besides CARE's.
    network: what is trained.
    noisy_targets: its PSNR is against images with noise of their own."""

    name: str
    trained_on: str
    papers: tuple[Paper, ...] = ()
    noisy_targets: bool = False
    network: str = "U-Net"


_NOISE2NOISE = Paper(
    "Lehtinen et al. (2018) Noise2Noise: Learning Image Restoration without Clean Data. "
    "International Conference on Machine Learning",
    "10.48550/arXiv.1803.04189",
)
_NOISE2VOID = Paper(
    "Krull et al. (2019) Noise2Void - Learning Denoising From Single Noisy Images. IEEE/CVF "
    "Conference on Computer Vision and Pattern Recognition",
    "10.1109/CVPR.2019.00223",
)
_N2V2 = Paper(
    "Höck et al. (2022) N2V2 - Fixing Noise2Void Checkerboard Artifacts with Modified Sampling "
    "Strategies and a Tweaked Network Architecture",
    "10.48550/arXiv.2211.08512",
)
_STRUCTURED = Paper(
    "Broaddus et al. (2020) Removing Structured Noise with Self-Supervised Blind-Spot Networks. "
    "IEEE International Symposium on Biomedical Imaging",
    "10.1109/ISBI45749.2020.9098336",
)

_ISOTROPIC = Paper(
    "Weigert et al. (2017) Isotropic Reconstruction of 3D Fluorescence Microscopy Images Using "
    "Convolutional Neural Networks. Medical Image Computing and Computer Assisted Intervention",
    "10.1007/978-3-319-66185-8_15",
)

_RCAN = Paper(
    "Chen et al. (2021) Three-dimensional residual channel attention networks denoise and sharpen "
    "fluorescence microscopy image volumes. Nature Methods 18, 678-687",
    "10.1038/s41592-021-01155-x",
)

_TASKS = {
    "care": _TaskWords("CARE", "pairs of images (content-aware image restoration)"),
    "n2n": _TaskWords(
        "N2N",
        "pairs of noisy images of the same scenes (Noise2Noise)",
        (_NOISE2NOISE,),
        noisy_targets=True,
    ),
    "n2v": _TaskWords("N2V", "noisy images alone (Noise2Void)", (_NOISE2VOID,)),
    "n2v2": _TaskWords("N2V2", "noisy images alone (N2V2)", (_N2V2, _NOISE2VOID)),
    "structn2v": _TaskWords(
        "structN2V",
        "images with correlated noise alone (structured Noise2Void)",
        (_STRUCTURED, _NOISE2VOID),
    ),
    "upsampling": _TaskWords(
        "Upsampling", "pairs of a coarsely and a finely sampled image (content-aware upsampling)"
    ),
    "rcan": _TaskWords(
        "RCAN",
        "pairs of images (residual channel attention network)",
        (_RCAN,),
        network="residual channel attention network",
    ),
    "projection": _TaskWords(
        "Projection", "pairs of a stack and the good projection of it (content-aware projection)"
    ),
    "isotropic": _TaskWords(
        "Isotropic",
        "slices of volumes and the same slices degraded as the microscope degrades along Z",
        (_ISOTROPIC,),
    ),
}


@dataclass(frozen=True)
class About:
    """Metadata of a package. name: 5 to 128 letters, digits, blanks and _+-(). license: an SPDX id.
    tags: besides those that care_bridge gives. Raises ConfigError where they cannot be used."""

    name: str
    description: str
    authors: tuple[str, ...] = ("unknown",)
    license: str = "CC-BY-4.0"
    tags: tuple[str, ...] = ()
    version: str = "0.1.0"

    def __post_init__(self) -> None:
        wrong = [letter for letter in self.name if letter not in _NAME_CHARACTERS]
        if wrong or len(self.name) not in _NAME_LENGTHS:
            raise ConfigError(
                f'the name "{self.name}" cannot be used: give {_NAME_LENGTHS[0]} to '
                f"{_NAME_LENGTHS[-1]} letters, digits, blanks or characters of _+-()"
            )
        if len(self.description) > _LONGEST_DESCRIPTION:
            raise ConfigError(
                f"the description has {len(self.description)} characters, at most "
                f"{_LONGEST_DESCRIPTION} can be used"
            )
        if not is_license(self.license):
            raise ConfigError(
                f'the license "{self.license}" is unknown: give an SPDX id such as CC-BY-4.0'
            )

    @property
    def nickname(self) -> str:
        """The name in lower-case letters, digits and hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def default_name(checkpoint: Checkpoint, run: str) -> str:
    """A name for the model trained in the run folder called `run`."""
    words = "".join(letter if letter in _NAME_CHARACTERS else " " for letter in run)
    task = _TASKS[checkpoint.config.task]
    return f"{task.name} {len(checkpoint.axes)}D {words}"[: _NAME_LENGTHS[-1]].strip()


def default_description(checkpoint: Checkpoint) -> str:
    """One sentence on what the model does."""
    task = _TASKS[checkpoint.config.task]
    return (
        f"Restores {len(checkpoint.axes)}D microscopy images: a {task.network} trained on "
        f"{task.trained_on}"
    )


def make_card(about: About, task: str, axes: str, tiled_axes: str) -> Card:
    """What the RDF says to people. tiled_axes: see Card."""
    given = (
        task,
        "image-restoration",
        "denoising",
        f"{len(axes)}d",
        "unet" if _TASKS[task].network == "U-Net" else task,
        "pytorch",
        "fluorescence-light-microscopy",
        "fiji",
    )
    return Card(
        authors=about.authors,
        tags=tuple(dict.fromkeys((*about.tags, *given))),
        timestamp=datetime.now(UTC),
        tiled_axes=tiled_axes,
        papers=_TASKS[task].papers,
    )


def model_card(spec: ModelSpec, checkpoint: Checkpoint) -> str:
    """README.md of the package."""
    return "\n".join(
        [
            f"# {spec.name}",
            "",
            spec.description,
            "",
            *_use(spec),
            *_validation(checkpoint),
            *_training(checkpoint),
        ]
    )


def _use(spec: ModelSpec) -> list[str]:
    axes = ", ".join(spec.input.axes.removeprefix("BC"))
    halo = ", ".join(f"{axis} {limits.halo}" for axis, limits in spec.tiling.items())
    lines = [
        "# Use",
        "",
        "    care-bridge restore IMAGES --model THIS_PACKAGE --out FOLDER",
        "",
        f"- Input: axes {axes}; channels {', '.join(spec.input.channel_names)}.",
    ]
    if not spec.procedure.tile:
        lines.append(
            f"- Tiles need {halo} pixels of context a side, on starts that are multiples of "
            f"{', '.join(str(limits.step) for limits in spec.tiling.values())}."
        )
    if isinstance(spec.normalization, Percentiles):
        low, high = spec.normalization.low, spec.normalization.high
        lines += [
            f"- Each image is scaled by its own percentiles {low:g} and {high:g}, taken over all "
            "of its pixels.",
            "- care_bridge scales the result back to the image's grey levels. Other software "
            "shows it as the network gives it, with those two percentiles at 0 and 1.",
        ]
    else:
        lines += [
            "- Every image is scaled by the mean and standard deviation of the training images, "
            "and the result by those of the targets: use it on images taken in the same way.",
        ]
    return [
        *lines,
        *_around(spec),
        *_predicted(spec),
        "- Restored grey levels are an estimate: do not measure intensities in them.",
        "",
    ]


def _around(spec: ModelSpec) -> list[str]:
    """What is to be done around the network."""
    procedure, lines = spec.procedure, []
    if procedure.tile:
        tile = " x ".join(map(str, procedure.tile.values()))
        blend = " x ".join(map(str, procedure.blend.values()))
        lines.append(
            "- The network averages over all that it sees, so its output depends on what is run at "
            f"once. care_bridge runs tiles of {tile} pixels that overlap by at least {blend} and "
            "passes linearly from one to the next. Other software may do so, or run whole images."
        )
    if spec.projects:
        lines.append(
            "- The result is a plane: the network projects stacks of any number of slices along Z. "
            "Do not cut or pad them along Z."
        )
    if procedure.zoom:
        factors = ", ".join(f"{axis} by {factor:.6g}" for axis, factor in procedure.zoom.items())
        lines.append(
            f"- care_bridge first zooms images along {factors}, by linear interpolation: along Z "
            "slice k of the finer image lies at k / factor of the coarser one, from its first to "
            "its last slice; along Y and X the edges of the image stay. The network is for images "
            "so zoomed; other software has to do this first."
        )
    if procedure.combination:
        lines.append(
            "- The network is two-dimensional and makes volumes isotropic. care_bridge runs it on "
            "all planes Z x X (Z being the network's Y) and on all planes Z x Y (Z its Y, Y its "
            f"X) of the zoomed volume, and takes the {procedure.combination} mean of both results "
            "in the normalised range. Other software that runs it on slices Y x X gets no "
            "isotropic volume: reslice first."
        )
    return lines


def _predicted(spec: ModelSpec) -> list[str]:
    """What a probabilistic network tells."""
    if spec.members is None:
        return []
    count = spec.member_count
    many = f"Laplace distributions by {count} members" if count > 1 else "a Laplace distribution"
    return [
        f"- It predicts {many} for each pixel. The first output, {spec.output.id}, is the mean, "
        f"which any software can take as the result. The second one, {spec.members.id}, holds for "
        "each member the means and then the scales of all channels; `restore --uncertainty` "
        "makes standard deviations, intervals, samples and disagreement of them. They are promises "
        "for images like those of training."
    ]


def _validation(checkpoint: Checkpoint) -> list[str]:
    if checkpoint.imported:
        return [
            "# Validation",
            "",
            "Not known: csbdeep trained the model. Compare with your own data before trusting it.",
            "",
        ]
    images = checkpoint.images["validation"]
    source = f"on {len(images)} image{'s' * (len(images) != 1)} that training did not see"
    return [
        "# Validation",
        "",
        f"Measured {source}, while training.",
        *_meaning(checkpoint),
        "",
        *_table(("figure", "value"), [(k, f"{v:.4g}") for k, v in checkpoint.validation.items()]),
        "",
        "Compare with your own data before trusting it: restore images whose truth you know, and "
        "look where the result shows what the input does not.",
        "",
    ]


def _meaning(checkpoint: Checkpoint) -> list[str]:
    """What the figures are."""
    if "psnr" not in checkpoint.validation:
        return ["The loss is that of guessing noisy pixels: there was no truth to compare with."]
    lines = [
        "PSNR in dB after percentile normalisation and an affine fit to the target (Weigert et "
        "al. 2018)."
    ]
    if "psnr_members" in checkpoint.validation:
        lines.append("That of the members is their mean; each was chosen by its own loss.")
    if "calibration_error" in checkpoint.validation:
        lines.append(
            "The calibration error is the mean difference between the share of the target inside a "
            "predicted interval and the interval's confidence."
        )
    if _TASKS[checkpoint.config.task].noisy_targets:
        lines.append("The targets are noisy themselves, so the truth is nearer than the PSNR says.")
    return lines


def _training(checkpoint: Checkpoint) -> list[str]:
    config = checkpoint.config
    if checkpoint.imported:
        settings = [(key, f"{value}") for key, value in checkpoint.imported.items()]
        return ["# Training", "", *_table(("csbdeep's setting", "value"), settings), ""]
    rows = [
        ("batches", str(checkpoint.step)),
        ("batch size", str(config.training.batch_size)),
        ("patch", " x ".join(map(str, config.patches.size or ()))),
        ("loss", config.training.loss),
        ("learning rate", f"{config.training.learning_rate:g}"),
        ("images", str(len(checkpoint.images["training"]))),
        ("seed", str(config.seed)),
        *((f"{name} version", version) for name, version in checkpoint.versions.items()),
    ]
    return ["# Training", "", *_table(("setting", "value"), rows), ""]


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> list[str]:
    return [f"| {one} | {other} |" for one, other in (head, ("---", "---"), *rows)]
