"""What the sections of a training configuration have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def _odd(pixels: int) -> int:
    if pixels % 2 == 0:
        raise ValueError("an odd number is needed, so that there is a middle")
    return pixels


Odd = Annotated[int, AfterValidator(_odd)]


class Section(BaseModel):
    """Keys that cannot be changed, and no others than these; numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
