"""The model card of a package, and what its description says to people."""

from __future__ import annotations

from datetime import UTC, datetime

from care_bridge.export.about import About, paper, person
from care_bridge.export.domain import noise_line, pixel_size
from care_bridge.export.figure import FIGURE, truth_shown
from care_bridge.export.tags import tags_of
from care_bridge.export.tasks import TASKS
from care_bridge.normalization import Percentiles
from care_bridge.package.consumers.metadata import VALIDATION
from care_bridge.package.markdown import block, inline, table
from care_bridge.package.rdf_content import COVER, Card, MoreWeights
from care_bridge.package.spec import ModelSpec
from care_bridge.training.checkpoint import Checkpoint


def make_card(
    spec: ModelSpec,
    checkpoint: Checkpoint,
    about: About,
    tiled_axes: str,
    weights: tuple[MoreWeights, ...],
) -> Card:
    """What the RDF says to people. tiled_axes, weights: see Card."""
    return Card(
        authors=tuple(map(person, about.authors)),
        tags=tags_of(spec, checkpoint, about, [more.kind for more in weights]),
        timestamp=datetime.now(UTC),
        tiled_axes=tiled_axes,
        papers=(*map(paper, about.cite), *TASKS[checkpoint.config.task].papers),
        maintainers=tuple(map(person, about.maintainers)),
        covers=(COVER, FIGURE),
        dataset=about.dataset,
        weights=weights,
    )


def model_card(spec: ModelSpec, checkpoint: Checkpoint, about: About) -> str:
    """README.md of the package."""
    return "\n".join(
        [
            f"# {inline(spec.name)}",
            "",
            block(spec.description),
            "",
            *_no_better(checkpoint),
            f"![before and after]({COVER})",
            "",
            *_use(spec),
            *_limits(checkpoint, about),
            *_data(checkpoint, about),
            *_validation(checkpoint),
            *_training(checkpoint),
        ]
    )


def _use(spec: ModelSpec) -> list[str]:
    axes = ", ".join(spec.input.axes.removeprefix("BC"))
    halo = ", ".join(f"{axis} {limits.halo}" for axis, limits in spec.tiling.items())
    steps = ", ".join(f"{axis} {limits.step}" for axis, limits in spec.tiling.items())
    lines = [
        "# Use",
        "",
        "    care-bridge restore IMAGES --model THIS_PACKAGE --out FOLDER",
        "",
        f"- The network's input: axes {axes}; channels {', '.join(spec.input.channel_names)}.",
    ]
    if not spec.procedure.tile:
        lines.append(
            f"- Tiles need {halo} pixels of context a side, and start on multiples of {steps}."
        )
    if isinstance(spec.normalization, Percentiles):
        low, high = spec.normalization.low, spec.normalization.high
        mixed = spec.channels_in not in (1, spec.channels_out)
        levels = "the grey levels of its first channel" if mixed else "the image's grey levels"
        lines += [
            f"- Each image is scaled by its own percentiles {low:g} and {high:g}, taken over all "
            "of its pixels.",
            f"- care_bridge scales the result back to {levels}. Other software "
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
    spread = (
        f" Before that their distances from the mean, and the scales, are multiplied by "
        f"{spec.spread:.3g} (config.care_bridge.spread): so the intervals hold what they promise "
        "on the validation images."
    )
    return [
        f"- It predicts {many} for each pixel. The first output, {spec.output.id}, is the mean, "
        f"which any software can take as the result. The second one, {spec.members.id}, holds for "
        "each member the means and then the scales of all channels; `restore --uncertainty` "
        "makes standard deviations, intervals, samples and disagreement of them."
        f"{spread * (count > 1)} They are promises for images like those of training."
    ]


def _limits(checkpoint: Checkpoint, about: About) -> list[str]:
    """How not to use it."""
    task = TASKS[checkpoint.config.task]
    kinds = f" ({inline(about.modality)})" if about.modality else ""
    trained = _pixel_sizes(checkpoint, about)
    sizes = f", and other pixel sizes than {trained}" if trained else ""
    return [
        "# Limits",
        "",
        "- Restored grey levels are an estimate: do not measure intensities in them, nor counts of "
        "photons.",
        "- The network has learned how its training images look. Of other specimens, other "
        f"microscopes{kinds} or exposures{sizes} it may make structures that are not there, or "
        "leave out some that are: show the raw image beside the restored one, and conclude nothing "
        "from what only the latter shows.",
        "- Do not restore an image twice, nor one that was sharpened, denoised or compressed with "
        "loss before.",
        "- It is for research, not for diagnosis.",
        *([f"- {task.cannot}"] if task.cannot else []),
        *(f"- {block(limit)}" for limit in about.limits),
        "",
    ]


def _data(checkpoint: Checkpoint, about: About) -> list[str]:
    """What it was trained on."""
    told = [
        ("images", about.training_data),
        ("dataset", about.dataset),
        ("microscope", about.modality),
        ("pixel size", _pixel_sizes(checkpoint, about)),
        ("noise", noise_line(checkpoint)),
    ]
    rows = [(what, text) for what, text in told if text]
    return ["# Data", "", *table(("of the training images", ""), rows), ""]


def _pixel_sizes(checkpoint: Checkpoint, about: About) -> str:
    ranges = {
        axis: f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        for axis, (low, high) in pixel_size(checkpoint, about).items()
    }
    return ", ".join(f"{axis} {told} micrometres" for axis, told in ranges.items())


def _validation(checkpoint: Checkpoint) -> list[str]:
    if checkpoint.imported:
        return [
            VALIDATION,
            "",
            "Not known: csbdeep trained the model. Compare with your own data before trusting it.",
            "",
        ]
    return [
        VALIDATION,
        "",
        f"Measured on {checkpoint.validated_on}, while training.",
        *_meaning(checkpoint),
        "",
        f"![{_shown(checkpoint)}]({FIGURE})",
        "",
        *table(("figure", "value"), [(k, f"{v:.4g}") for k, v in checkpoint.validation.items()]),
        "",
        "Compare with your own data before trusting it: restore images whose truth you know, and "
        "look where the result shows what the input does not.",
        "",
    ]


def improves_nothing(checkpoint: Checkpoint) -> str:
    """What speaks against the model in its own figures, the second half of a sentence; "" where
    nothing does, or there are none to compare."""
    psnr, before = (checkpoint.validation.get(key) for key in ("psnr", "psnr_input"))
    if psnr is None or before is None or psnr > before:
        return ""
    return (
        f"it does not improve the images that it was validated on (PSNR {psnr:.2f} dB after it, "
        f"{before:.2f} dB before)"
    )


def _no_better(checkpoint: Checkpoint) -> list[str]:
    said = improves_nothing(checkpoint)
    if not said:
        return []
    return [f"**Do not use this model: {said}. It needs more steps, or more images.**", ""]


def _shown(checkpoint: Checkpoint) -> str:
    """What the picture shows."""
    return f"a validation image: {', '.join(['input', 'restored', *truth_shown(checkpoint)])}"


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
    if TASKS[checkpoint.config.task].noisy_targets:
        lines.append("The targets are noisy themselves, so the truth is nearer than the PSNR says.")
    return lines


def _training(checkpoint: Checkpoint) -> list[str]:
    config = checkpoint.config
    if checkpoint.imported:
        settings = [(key, f"{value}") for key, value in checkpoint.imported.items()]
        return ["# Training", "", *table(("csbdeep's setting", "value"), settings), ""]
    rows = [
        ("batches", str(checkpoint.step)),
        ("batch size", str(config.training.batch_size)),
        ("patch", " x ".join(map(str, config.patches.size or ()))),
        ("loss", config.training.loss),
        ("learning rate", f"{config.training.learning_rate:g}"),
        ("images", str(len(checkpoint.images["training"]))),
        ("seed", str(config.seed)),
        *((f"started from: {what}", f"{told}") for what, told in (checkpoint.start or {}).items()),
        *((f"{name} version", version) for name, version in checkpoint.versions.items()),
    ]
    return ["# Training", "", *table(("setting", "value"), rows), ""]
