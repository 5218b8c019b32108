"""What a simulated data set is made of: one frozen set of parameters in physical units.

Lengths are in micrometres, times in seconds. A Range (lowest, highest) is drawn anew for each
pair; those of a specimen, where it says so, for each object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal

from care_bridge.errors import ConfigError
from care_bridge.simulation.ranges import Range, check_limits, limited, ranged
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


# Some ten arrays of this many single-precision numbers are needed at once.
_MOST_PIXELS = 2**30


@dataclass(frozen=True)
class OpticsRecipe:
    """The microscope; `care_bridge.simulation.psf.Optics` says what its values mean.

    psf: image file of a point spread function with these images' pixel size and z step, which
    then takes the place of the computed one in the source.
    """

    numerical_aperture: Range = ranged(1.4, least=0.01, most=1.7)
    wavelength: Range = ranged(0.52, least=0.1, most=10)
    refractive_index: Range = ranged(1.515, least=1.0, most=3)
    sample_index: Range = ranged(1.33, least=1.0, most=3)
    depth: Range = ranged(0.0, most=1e3)
    pixel_size: Range = ranged(0.1, least=1e-3, most=1e3, log=True)
    z_step: Range = ranged(0.3, least=1e-3, most=1e3, log=True)
    confocal: bool = False
    psf: str | None = None


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
    mean square over the pupil. Stronger ones would send light beyond the computed kernel."""

    tilt_y: Range = ranged(0.0, least=-0.5, most=0.5)
    tilt_x: Range = ranged(0.0, least=-0.5, most=0.5)
    astigmatism_45: Range = ranged(0.0, least=-0.5, most=0.5)
    defocus: Range = ranged(0.0, least=-1.5, most=1.5)
    astigmatism_0: Range = ranged(0.0, least=-0.5, most=0.5)
    trefoil: Range = ranged(0.0, least=-0.5, most=0.5)
    coma: Range = ranged(0.0, least=-0.5, most=0.5)


@dataclass(frozen=True)
class BackgroundRecipe:
    """Out-of-focus light, added after the optics.

    level: its mean, as a share of `exposure.photons`. contrast: its standard deviation over its
    mean; more than 0.5 of a Gaussian field would be negative in too many places, where it is cut
    off. scale, exponent: its spectrum, see `care_bridge.simulation.fields.random_field`.
    """

    level: Range = ranged(0.1, most=100)
    contrast: Range = ranged(0.3, most=0.5)
    scale: Range = ranged(20.0, least=1e-2, most=1e5, log=True)
    exponent: Range = ranged(4.0, most=20)


@dataclass(frozen=True)
class ExposureRecipe:
    """The light of an image.

    photons: expected photons in the brightest structures (percentile 99 of the pixels above a
    tenth of the maximum), background aside. doses: an exposure of the same scene for each, with
    this share of the photons; the target has dose 1. arrange: several exposures become the
    channels of one source file, or files in folders of their own (source_1, source_2, …).
    average: exposures that are averaged into one source.
    """

    photons: Range = ranged(20.0, least=1e-6, most=1e6, log=True)
    doses: tuple[float, ...] = limited((1.0,), least=1e-6, most=1e3)
    arrange: Literal["channels", "folders"] = "channels"
    average: Range = ranged(1, least=1, most=1000)

    def __post_init__(self) -> None:
        if not self.doses:
            raise ConfigError("exposure.doses has no value: give one number or more")


@dataclass(frozen=True)
class CameraRecipe:
    """The camera; `care_bridge.simulation.camera.Camera` says what its values mean.

    hot_pixels: share of the pixels that gather electrons without light. hot_electrons: how many
    each of them gathers in an exposure.
    """

    gain: Range = ranged(2.0, least=1e-3, most=1e3, log=True)
    offset: Range = ranged(100.0, most=65535)
    read_noise: Range = ranged(1.6, most=1e4)
    hot_pixels: Range = ranged(0.0, most=1.0)
    hot_electrons: Range = ranged(20.0, 500.0, most=1e6, log=True)


@dataclass(frozen=True)
class SamplingRecipe:
    """How the source is sampled more coarsely than the target.

    binning: camera pixels along Y and X that are read out as one. z_factor: the source's z step
    over the target's, not necessarily an integer. upsample: bring the source back to the target's
    pixels (linear), as training on pairs needs it; else each file has its own voxel size.
    """

    binning: int = limited(1, least=1, most=64)
    z_factor: float = limited(1.0, least=1, most=1e3)
    upsample: bool = True


@dataclass(frozen=True)
class MovieRecipe:
    """Movement and bleaching; one frame makes an image without time.

    frames: how many. interval: between them, seconds. diffusion: of each object, square
    micrometres a second. speed: of each object in a direction of its own, micrometres a second.
    bleaching: share of the light that is lost in a second, at first.
    """

    frames: int = limited(1, least=1, most=1e5)
    interval: float = limited(1.0, least=1e-6, most=1e6)
    diffusion: Range = ranged(0.005, most=1e4)
    speed: Range = ranged(0.05, most=1e4)
    bleaching: Range = ranged(0.0, most=1e3)


@dataclass(frozen=True)
class TargetRecipe:
    """The image that a network is to learn.

    image: "expected" is what an endless average of the source's exposures tends to; "ideal" the
    same through computed optics without aberrations; "structure" the specimen without optics;
    "average" the mean of `average` exposures. background: whether it is kept. projection: "max" or
    "mean" of the target along Z. The target is in the source's grey levels, with
    binning those of a bin.
    """

    image: Literal["expected", "ideal", "structure", "average"] = "expected"
    average: int = limited(100, least=1, most=1e4)
    background: bool = True
    projection: Literal["none", "max", "mean"] = "none"


@dataclass(frozen=True)
class Recipe:
    """All that a data set is made from.

    kind: of KINDS. size: pixels, [Z,] Y, X, of the target. count: pairs. seed: pair i depends on
    recipe, seed and i alone, and its scene on no more than size, specimen, pixel size and movie.
    """

    kind: str
    specimen: Specimen
    optics: OpticsRecipe
    size: tuple[int, ...] = limited((512, 512), least=1, most=65536)
    count: int = limited(10, least=1, most=1e6)
    seed: int = limited(0, least=0, most=2**63 - 1)
    aberrations: AberrationsRecipe = field(default_factory=AberrationsRecipe)
    background: BackgroundRecipe = field(default_factory=BackgroundRecipe)
    exposure: ExposureRecipe = field(default_factory=ExposureRecipe)
    camera: CameraRecipe = field(default_factory=CameraRecipe)
    sampling: SamplingRecipe = field(default_factory=SamplingRecipe)
    movie: MovieRecipe = field(default_factory=MovieRecipe)
    target: TargetRecipe = field(default_factory=TargetRecipe)

    def __post_init__(self) -> None:
        check_limits(self)
        aperture, index = self.optics.numerical_aperture[1], self.optics.refractive_index[0]
        if aperture >= index:
            raise ConfigError(
                f"optics.numerical_aperture {aperture:g} is not below optics.refractive_index "
                f"{index:g}: no light comes in so steeply, change one of them"
            )
        if len(self.size) not in (2, 3):
            raise ConfigError(f"size {list(self.size)}: give the pixels of Y,X or of Z,Y,X")
        pixels = self.movie.frames * prod(self.size)
        if pixels > _MOST_PIXELS:
            raise ConfigError(
                f"size {list(self.size)} with movie.frames {self.movie.frames} makes {pixels:.2g} "
                f"pixels an image: make it smaller, at most {_MOST_PIXELS:.2g} fit into memory"
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
        for key, factor, sizes in (
            ("sampling.binning", self.sampling.binning, self.size[-2:]),
            ("sampling.z_factor", self.sampling.z_factor, self.size[:-2]),
        ):
            if sizes and factor > min(sizes):
                raise ConfigError(
                    f"{key} {factor:g} is more than the size {list(self.size)} has pixels there: "
                    "make it smaller"
                )


def default_recipe(kind: str) -> Recipe:
    """The recipe of a kind of which nothing is changed; ConfigError for an unknown kind."""
    if kind not in KINDS:
        raise ConfigError(f'there is no kind "{kind}": choose one of {", ".join(KINDS)}')
    return Recipe(kind, KINDS[kind](), _OPTICS[kind])
