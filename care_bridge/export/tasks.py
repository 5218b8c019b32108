"""What the tasks of training are called, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass

from care_bridge.package.rdf_content import Paper


@dataclass(frozen=True)
class TaskWords:
    """What a task is called. trained_on: the end of a sentence. tags: see tags.py. papers: to cite
    besides CARE's. network, network_tag: what is trained. noisy_targets: its PSNR is against images
    with noise of their own. cannot: what networks that are so trained do not do, a sentence.
    images: the axes of what is restored, where the network has others."""

    name: str
    trained_on: str
    tags: tuple[str, ...]
    papers: tuple[Paper, ...] = ()
    noisy_targets: bool = False
    network: str = "U-Net"
    network_tag: str = "unet"
    cannot: str = ""
    images: str = ""

    def image_axes(self, axes: str) -> str:
        """Those of what a network with these axes restores."""
        return self.images or axes

    def dimensions(self, axes: str) -> int:
        """How many those are: 2 or 3."""
        return len(self.image_axes(axes))


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

_SHARED_NOISE_STAYS = (
    "Noise that neighbouring pixels share (stripes, blotches, the pattern of a camera) is taken "
    "for structure and stays."
)
_BLIND_SPOT_TAGS = ("n2v", "denoising", "self-supervised")

TASKS = {
    "care": TaskWords("CARE", "pairs of images (content-aware image restoration)", ("care",)),
    "n2n": TaskWords(
        "N2N",
        "pairs of noisy images of the same scenes (Noise2Noise)",
        ("n2n", "denoising"),
        (_NOISE2NOISE,),
        noisy_targets=True,
    ),
    "n2v": TaskWords(
        "N2V",
        "noisy images alone (Noise2Void)",
        _BLIND_SPOT_TAGS,
        (_NOISE2VOID,),
        cannot=_SHARED_NOISE_STAYS,
    ),
    "n2v2": TaskWords(
        "N2V2",
        "noisy images alone (N2V2)",
        ("n2v2", *_BLIND_SPOT_TAGS),
        (_N2V2, _NOISE2VOID),
        cannot=_SHARED_NOISE_STAYS,
    ),
    "structn2v": TaskWords(
        "structN2V",
        "images with correlated noise alone (structured Noise2Void)",
        ("structn2v", *_BLIND_SPOT_TAGS),
        (_STRUCTURED, _NOISE2VOID),
    ),
    "upsampling": TaskWords(
        "Upsampling",
        "pairs of a coarsely and a finely sampled image (content-aware upsampling)",
        ("care", "upsampling", "super-resolution"),
    ),
    "rcan": TaskWords(
        "RCAN",
        "pairs of images (residual channel attention network)",
        ("rcan",),
        (_RCAN,),
        network="residual channel attention network",
        network_tag="rcan",
    ),
    "projection": TaskWords(
        "Projection",
        "pairs of a stack and the good projection of it (content-aware projection)",
        ("care", "projection"),
    ),
    "isotropic": TaskWords(
        "Isotropic",
        "slices of volumes and the same slices degraded as the microscope degrades along Z",
        ("care", "isotropic-reconstruction", "image-reconstruction", "self-supervised"),
        (_ISOTROPIC,),
        images="ZYX",
    ),
}
