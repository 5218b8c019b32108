"""How good care_bridge's networks are beside those that its peers train.

    python benchmarks/quality_peers.py --out RESULTS [--comparisons care2d n2v care3d]
        [--seeds 0 1 2 3] [--steps N]

The same simulated noisy images, network, patches, batches and number of steps for each tool; the
rest (scaling, augmentation, learning rate and its schedule, validation) is each tool's default.
Figures: PSNR in the CARE paper's metric of images that training did not see. A difference is that
of the means over the seeds, with its standard error; it should be at least -2 standard errors, and
never below -0.4 dB. What is done is kept in RESULTS (a JSON a tool and seed), so the script may be
interrupted and called again.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.paired import difference, print_figures, print_verdict
from bench.seeds import add_arguments, of_seed
from bench.training import Job, measured_ours, measured_peer, write_pairs

from care_bridge.simulation.recipe_file import load_recipe

FILTERS = 16
LEAST = -0.4
"""dB that care_bridge may lose at most."""


@dataclass(frozen=True)
class Comparison:
    """What is simulated and trained. task, settings: care_bridge's."""

    peer: str
    kind: str
    recipe: tuple[str, ...]
    pairs: tuple[int, int]
    axes: str
    patch: tuple[int, ...]
    batch: int
    steps: int
    task: str = "care"
    settings: tuple[str, ...] = ()


COMPARISONS = {
    "care2d": Comparison(
        peer="csbdeep",
        kind="tubules",
        recipe=("size=[256,256]", "exposure.photons=10"),
        pairs=(12, 4),
        axes="YX",
        patch=(64, 64),
        batch=16,
        steps=2000,
    ),
    # careamics' network has kernels of 3 pixels.
    "n2v": Comparison(
        peer="careamics",
        kind="nuclei",
        recipe=("size=[256,256]", "exposure.photons=20"),
        pairs=(12, 4),
        axes="YX",
        patch=(64, 64),
        batch=16,
        steps=2000,
        task="n2v",
        settings=("data.source=source", "network.kernel=3"),
    ),
    "care3d": Comparison(
        peer="csbdeep",
        kind="nuclei",
        recipe=("size=[24,128,128]", "exposure.photons=10"),
        pairs=(8, 2),
        axes="ZYX",
        patch=(16, 48, 48),
        batch=4,
        steps=1000,
    ),
}


def measured(
    comparison: Comparison, steps: int, tool: str, seed: int, folder: Path
) -> dict[str, Any]:
    """PSNR of a tool, the versions, and for care_bridge that of the input."""
    recipe = load_recipe(None, comparison.kind, [*comparison.recipe, f"seed={seed}"])
    write_pairs(folder / "data", recipe, *comparison.pairs)
    job = Job(
        data=str(folder / "data"),
        out=str(folder),
        axes=comparison.axes,
        patch=comparison.patch,
        batch=comparison.batch,
        steps=steps,
        filters=FILTERS,
        seed=seed,
    )
    if tool == comparison.peer:
        return measured_peer(job, tool)
    return measured_ours(job, (f"task={comparison.task}", *comparison.settings))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_arguments(parser, steps=None)
    parser.add_argument("--comparisons", nargs="+", choices=COMPARISONS, default=list(COMPARISONS))
    given = parser.parse_args()
    for name in given.comparisons:
        comparison = COMPARISONS[name]
        steps = given.steps or comparison.steps
        results: dict[str, list[dict[str, Any]]] = {}
        for seed in given.seeds:
            for tool in (comparison.peer, comparison.task):
                measure = partial(measured, comparison, steps, tool)
                told = [asdict(comparison), FILTERS]
                found = of_seed(given, f"{name}-{tool}", steps, seed, told, measure)
                results.setdefault(tool, []).append(found)
        figures = {tool: [each["psnr"] for each in found] for tool, found in results.items()}
        inputs = [each["input"] for each in results[comparison.task]]
        title = f"{name}, {steps} steps: PSNR in dB"
        print_figures(title, given.seeds, {"noisy": inputs, **figures})
        gain = difference(figures[comparison.task], figures[comparison.peer])
        print_verdict(f"{comparison.task} - {comparison.peer}", gain, max(LEAST, -2 * gain.error))
        versions = {told for found in results.values() for told in found[0]["versions"]}
        print("\n" + "; ".join(sorted(versions)))


if __name__ == "__main__":
    main()
