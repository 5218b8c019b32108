"""Objects as proof: what threshold and connected components find in an image and in the truth.

share unmatched: of the truth's objects, those that no object overlaps with an intersection over
union (IoU) of 0.5 or more. SEG (Cell Tracking Challenge; Maska et al. 2014): mean over the truth's
objects of the IoU with the object that covers more than half of them, 0 where there is none. Needs
scikit-image and scipy (extra `evaluate`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label
from skimage.filters import threshold_otsu

from care_bridge.errors import ImageError

_SMOOTHING = 1.0
_SMALLEST = 20
_IOU = 0.5

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Found:
    """objects: number found; true_objects: in the truth. unmatched: share of the truth's objects
    without a partner of IoU >= 0.5. seg: mean IoU as defined above."""

    objects: int
    true_objects: int
    unmatched: float
    seg: float


def find_objects(image: NDArray[np.generic]) -> Labels:
    """Labels 1, 2, ... of the bright objects of `image` (Y, X) or (Z, Y, X), 0 elsewhere.

    The image is smoothed (Gaussian, sigma 1 pixel) and cut at Otsu's threshold; pixels that touch
    by a face belong together; objects below 20 pixels are left out.
    """
    smooth = gaussian_filter(image.astype(np.float64), _SMOOTHING)
    if np.ptp(smooth) == 0:
        raise ImageError("the image is constant: there are no objects in it")
    labels, _ = label(smooth > threshold_otsu(smooth))  # type: ignore[no-untyped-call]
    sizes = np.bincount(labels.ravel())
    kept = sizes >= _SMALLEST
    kept[0] = False
    names = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return np.asarray(names[labels])


def compare_objects(labels: Labels, true_labels: Labels) -> Found:
    """How well `labels` agree with those of the truth (one shape).

    Raises ImageError where shapes differ or the truth has no object.
    """
    if labels.shape != true_labels.shape:
        raise ImageError(
            f"the labels have shape {labels.shape}, the truth's {true_labels.shape}: "
            "compare equal shapes"
        )
    count, true_count = int(labels.max()), int(true_labels.max())
    if true_count == 0:
        raise ImageError("the truth has no objects: nothing can be compared with it")
    both = true_labels.astype(np.int64) * (count + 1) + labels
    shared = np.bincount(both.ravel(), minlength=(true_count + 1) * (count + 1))
    overlap = shared.reshape(true_count + 1, count + 1)
    true_sizes, sizes = overlap.sum(axis=1)[1:], overlap.sum(axis=0)[1:]
    inner = overlap[1:, 1:]
    if count == 0:
        return Found(0, true_count, 1.0, 0.0)
    iou = inner / (true_sizes[:, None] + sizes[None, :] - inner)
    covering = np.where(2 * inner > true_sizes[:, None], iou, 0)
    return Found(
        objects=count,
        true_objects=true_count,
        unmatched=float(np.mean(iou.max(axis=1) < _IOU)),
        seg=float(np.mean(covering.max(axis=1))),
    )
