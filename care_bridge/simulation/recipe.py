"""What a simulated data set is made of: one frozen set of parameters in physical units.

Lengths are in micrometres, times in seconds. A Range (lowest, highest) is drawn anew for each
pair; those of a specimen, where it says so, for each object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from care_bridge.errors import ConfigError
from care_bridge.simulation.ranges import Range, ranged
from care_bridge.simulation.specimens.granules import Granules
from care_bridge.simulation.specimens.membranes import Membranes
from care_bridge.simulation.specimens.nuclei import Nuclei
from care_bridge.simulation.specimens.spheres import Spheres
from care_bridge.simulation.specimens.tubules import Tubules

Specimen = Tubules | Granules | Nuclei | Membranes | Spheres

KINDS: Mapping[str, type[Specimen]] = {
    "tubules": Tubules,
    "granules": Granules,
    "nuclei": Nuclei,
    "membranes": Membranes,
    "spheres": Spheres,
}


@dataclass(frozen=True)
class OpticsRecipe:
    """The microscope; `care_bridge.simulation.psf.Optics` says what its values mean.

    psf: image file of a point spread function with these images' pixel size and z step, which
    then takes the place of the computed one in the source.
    """

    numerical_aperture: Range = ranged(1.4, least=0.01)
    wavelength: Range = ranged(0.52, least=0.01)
    refractive_index: Range = ranged(1.515, least=1.0)
    sample_index: Range = ranged(1.33, least=1.0)
    depth: Range = ranged(0.0)
    pixel_size: Range = ranged(0.1, least=1e-3, log=True)
    z_step: Range = ranged(0.3, least=1e-3, log=True)
    confocal: bool = False
    psf: str | None = None

    def __post_init__(self) -> None:
        if self.numerical_aperture[1] >= self.refractive_index[0]:
            raise ConfigError(
                f"optics.numerical_aperture {self.numerical_aperture[1]:g} is not below "
                f"optics.refractive_index {self.refractive_index[0]:g}: no light comes in so "
                "steeply, change one of them"
            )


_OIL = OpticsRecipe()
_DRY = OpticsRecipe(
    numerical_aperture=(0.75, 0.75),
    refractive_index=(1.0, 1.0),
    pixel_size=(0.325, 0.325),
    z_step=(1.0, 1.0),
)
_OPTICS = {
    "tubules": _OIL,
    "granules": _OIL,
    "nuclei": _DRY,
    "membranes": _DRY,
    "spheres": _OIL,
}


@dataclass(frozen=True)
class AberrationsRecipe:
    """Zernike modes 1 to 7 (OSA/ANSI index, in this order) of the source's optics: radians, root
    mean square over the pupil."""

    tilt_y: Range = ranged(0.0, least=-float("inf"))
    tilt_x: Range = ranged(0.0, least=-float("inf"))
    astigmatism_45: Range = ranged(0.0, least=-float("inf"))
    defocus: Range = ranged(0.0, least=-float("inf"))
    astigmatism_0: Range = ranged(0.0, least=-float("inf"))
    trefoil: Range = ranged(0.0, least=-float("inf"))
    coma: Range = ranged(0.0, least=-float("inf"))


@dataclass(frozen=True)
class BackgroundRecipe:
    """Out-of-focus light, added after the optics.

    level: its mean, as a share of `exposure.photons`. contrast: its standard deviation over its
    mean. scale, exponent: its spectrum, see `care_bridge.simulation.fields.random_field`.
    """

    level: Range = ranged(0.1)
    contrast: Range = ranged(0.3)
    scale: Range = ranged(20.0, least=1e-2, log=True)
    exponent: Range = ranged(4.0)


@dataclass(frozen=True)
class ExposureRecipe:
    """The light of an image.

    photons: expected photons in the brightest structures (percentile 99 of the pixels above a
    tenth of the maximum), background aside. doses: an exposure of the same scene for each, with
    this share of the photons; the target has dose 1. arrange: several exposures become the
    channels of one source file, or files in folders of their own (source_1, source_2, …).
    average: exposures that are averaged into one source.
    """

    photons: Range = ranged(20.0, least=1e-6, most=1e9, log=True)
    doses: tuple[float, ...] = (1.0,)
    arrange: Literal["channels", "folders"] = "channels"
    average: Range = ranged(1, least=1)

    def __post_init__(self) -> None:
        if not self.doses or min(self.doses) <= 0:
            raise ConfigError(
                f"exposure.doses has the value {list(self.doses)}: give one number above 0 or more"
            )


@dataclass(frozen=True)
class CameraRecipe:
    """The camera; `care_bridge.simulation.camera.Camera` says what its values mean.

    hot_pixels: share of the pixels that gather electrons without light. hot_electrons: how many
    each of them gathers in an exposure.
    """

    gain: Range = ranged(2.0, least=1e-6, log=True)
    offset: Range = ranged(100.0)
    read_noise: Range = ranged(1.6)
    hot_pixels: Range = ranged(0.0, most=1.0)
    hot_electrons: Range = ranged(20.0, 500.0, most=1e9, log=True)


@dataclass(frozen=True)
class SamplingRecipe:
    """How the source is sampled more coarsely than the target.

    binning: camera pixels along Y and X that are read out as one. z_factor: the source's z step
    over the target's, not necessarily an integer. upsample: bring the source back to the target's
    pixels (linear), as training on pairs needs it; else each file has its own voxel size.
    """

    binning: int = 1
    z_factor: float = 1.0
    upsample: bool = True

    def __post_init__(self) -> None:
        if self.binning < 1 or self.z_factor < 1:
            raise ConfigError(
                f"sampling.binning {self.binning} and sampling.z_factor {self.z_factor:g} must be "
                "at least 1: a source is not sampled more finely than its target"
            )


@dataclass(frozen=True)
class MovieRecipe:
    """Movement and bleaching; one frame makes an image without time.

    frames: how many. interval: between them, seconds. diffusion: of each object, square
    micrometres a second. speed: of each object in a direction of its own, micrometres a second.
    bleaching: share of the light that is lost in a second, at first.
    """

    frames: int = 1
    interval: float = 1.0
    diffusion: Range = ranged(0.005)
    speed: Range = ranged(0.05)
    bleaching: Range = ranged(0.0)

    def __post_init__(self) -> None:
        if self.frames < 1 or self.interval <= 0:
            raise ConfigError(
                f"movie.frames {self.frames} and movie.interval {self.interval:g}: give at least "
                "one frame and an interval above 0"
            )


@dataclass(frozen=True)
class TargetRecipe:
    """The image that a network is to learn.

    image: "expected" is what an endless average of the source's exposures tends to; "ideal" the
    same through computed optics without aberrations; "structure" the specimen without optics;
    "average" the mean of `average` exposures. background: whether it is kept. projection: "max" or
    "mean" of the target along Z. The target is in grey levels of the camera.
    """

    image: Literal["expected", "ideal", "structure", "average"] = "expected"
    average: int = 100
    background: bool = True
    projection: Literal["none", "max", "mean"] = "none"

    def __post_init__(self) -> None:
        if self.average < 1:
            raise ConfigError(f"target.average {self.average}: give at least one exposure")


@dataclass(frozen=True)
class Recipe:
    """All that a data set is made from.

    kind: of KINDS. size: pixels, [Z,] Y, X, of the target. count: pairs. seed: pair i depends on
    recipe, seed and i alone, and its scene on no more than size, specimen, pixel size and movie.
    """

    kind: str
    specimen: Specimen
    optics: OpticsRecipe
    size: tuple[int, ...] = (512, 512)
    count: int = 10
    seed: int = 0
    aberrations: AberrationsRecipe = field(default_factory=AberrationsRecipe)
    background: BackgroundRecipe = field(default_factory=BackgroundRecipe)
    exposure: ExposureRecipe = field(default_factory=ExposureRecipe)
    camera: CameraRecipe = field(default_factory=CameraRecipe)
    sampling: SamplingRecipe = field(default_factory=SamplingRecipe)
    movie: MovieRecipe = field(default_factory=MovieRecipe)
    target: TargetRecipe = field(default_factory=TargetRecipe)

    def __post_init__(self) -> None:
        if len(self.size) not in (2, 3) or min(self.size) < 1:
            raise ConfigError(
                f"size {list(self.size)}: give the pixels of Y,X or of Z,Y,X, each above 0"
            )
        if self.count < 1 or self.seed < 0:
            raise ConfigError(
                f"count {self.count} and seed {self.seed}: give at least one pair and a seed of at "
                "least 0"
            )
        if self.optics.psf and any(limits != (0, 0) for limits in vars(self.aberrations).values()):
            raise ConfigError(
                "optics.psf takes the place of computed optics, to which aberrations belong: leave "
                "one of them out"
            )
        if len(self.size) == 2:
            for key, needs_slices in (
                ("sampling.z_factor", self.sampling.z_factor > 1),
                ("target.projection", self.target.projection != "none"),
            ):
                if needs_slices:
                    raise ConfigError(f"{key} needs slices: give a size of Z,Y,X")
        if self.sampling.binning > min(self.size[-2:]):
            raise ConfigError(
                f"sampling.binning {self.sampling.binning} is more than the size "
                f"{list(self.size)} has pixels: make it smaller"
            )


def default_recipe(kind: str) -> Recipe:
    """The recipe of a kind of which nothing is changed; ConfigError for an unknown kind."""
    if kind not in KINDS:
        raise ConfigError(f'there is no kind "{kind}": choose one of {", ".join(KINDS)}')
    return Recipe(kind, KINDS[kind](), _OPTICS[kind])
