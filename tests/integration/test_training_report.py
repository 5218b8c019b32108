"""The page that a finished training leaves in its run folder."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from care_bridge.cli.main import main
from care_bridge.training.care import prepare
from care_bridge.training.checkpoint import load_checkpoint
from care_bridge.training.config import load_config
from tests.integration.test_training import TINY
from tests.training_pairs import write_pairs


class Page(HTMLParser):
    """Its words, its pictures by what they are called, and what it would fetch."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self.pictures: list[tuple[str, np.ndarray]] = []
        self.fetched: list[str] = []
        self.feed(file.read_text("utf-8"))

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        source = given.get("src") or given.get("href") or ""
        if tag == "img":
            kind, _, text = source.partition(",")
            assert kind == "data:image/png;base64"
            shown = Picture.open(BytesIO(b64decode(text)))
            self.pictures.append((given["alt"] or "", np.asarray(shown)))
        elif source:
            self.fetched.append(source)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("data"), 3, (48, 56))


@pytest.mark.parametrize(
    ("settings", "shown", "lines"),
    [
        pytest.param((), ["input", "restored", "target"], 4, id="care"),
        pytest.param(("task=n2v", "data.source=source"), ["input", "restored"], 2, id="n2v"),
        pytest.param(
            ("probabilistic=true", "members=2"), ["input", "restored", "target"], 8, id="ensemble"
        ),
    ],
)
def test_the_page_tells_of_the_run(
    settings: tuple[str, ...],
    shown: list[str],
    lines: int,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    assert main(["train", str(data), "--out", str(run), "--set", *TINY, *settings]) == 0
    assert f"report: {run / 'report.html'}" in capsys.readouterr().err
    page = Page(run / "report.html")
    assert page.fetched == []
    assert [name for name, _ in page.pictures] == shown * 2  # validation batches
    best = load_checkpoint(run)
    words = " ".join(page.words)
    for figure in best.validation.values():
        assert f"{figure:.4g}" in words
    for name in ("im0.tif", "im1.tif", "im2.tif"):
        bytes_ = (data / "source" / name).read_bytes()
        assert hashlib.blake2b(bytes_).hexdigest()[:32] in words
    assert torch.__version__.split("+")[0] in words
    assert "freshly drawn weights" in words
    assert re.search(r"time 0 min \d+ s", words)
    assert (run / "report.html").read_text("utf-8").count("<polyline") == lines


def test_the_pictures_are_those_of_the_patches(data: Path, tmp_path: Path) -> None:
    assert main(["train", str(data), "--out", str(tmp_path / "run"), "--set", *TINY]) == 0
    pictures = [pixels for _, pixels in Page(tmp_path / "run" / "report.html").pictures]
    task = prepare(data, load_config(None, TINY), tmp_path / "pixels")
    network = load_checkpoint(tmp_path / "run").network
    source, target = task.validation[1]
    with torch.no_grad():
        restored = network(torch.from_numpy(source)).numpy()
    for found, expected in zip(pictures[3:], (source, restored, target), strict=True):
        levels = expected[0, 0].clip(0, 1) * 255
        np.testing.assert_allclose(found, levels, atol=1)
