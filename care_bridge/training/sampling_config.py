"""The configuration of tasks that change how finely an image is sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from care_bridge.training.section import Section

Factor = Annotated[float, Field(ge=1, le=100)]


class IsotropicConfig(Section):
    """How slices are degraded to look like planes across Z (isotropic.py).

    factor: z step over pixel size; None: by the files' voxel sizes. psf: image file of a point
    spread function, with its pixel size: a stack, or a plane (Y, X) that slices are blurred with, Y
    standing for Z. numerical_aperture, wavelength (micrometres), refractive_index,
    confocal: the optics from which one is computed. noise: added after the blur, its standard
    deviation in grey levels. combination: of the two orientations that are restored, see
    `care_bridge.package.procedure`.
    """

    factor: Annotated[float, Field(gt=1, le=100)] | None = None
    psf: str | None = None
    numerical_aperture: Annotated[float, Field(gt=0, le=1.7)] | None = None
    wavelength: Annotated[float, Field(gt=0.1, lt=10)] | None = None
    refractive_index: Annotated[float, Field(ge=1, lt=3)] = 1.33
    confocal: bool = False
    noise: Annotated[float, Field(ge=0)] = 0.0
    combination: Literal["arithmetic", "geometric"] = "arithmetic"

    @model_validator(mode="after")
    def _one_psf(self) -> IsotropicConfig:
        aperture, wavelength = self.numerical_aperture, self.wavelength
        if (aperture is None) != (wavelength is None):
            raise ValueError("give numerical_aperture and wavelength, or neither")
        if self.psf and aperture is not None:
            raise ValueError("give psf, or numerical_aperture and wavelength")
        if aperture is not None and aperture >= self.refractive_index:
            raise ValueError(
                f"numerical_aperture {aperture:g} must lie below refractive_index "
                f"{self.refractive_index:g}: set that of the immersion, e.g. 1.515 of oil"
            )
        return self


class UpsamplingConfig(Section):
    """How much finer the targets are, along Z, Y and X. None: by the voxel sizes of the first pair,
    where no other factor is given; else 1."""

    z: Factor | None = None
    y: Factor | None = None
    x: Factor | None = None

    @property
    def zoom(self) -> Mapping[str, float]:
        """The factors above 1, by axis."""
        given = {"Z": self.z, "Y": self.y, "X": self.x}
        return {axis: factor for axis, factor in given.items() if factor and factor > 1}
