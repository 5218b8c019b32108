"""Plain ImageJ without a display: its classes are changed once, and kept for the starts to come.

ij1-patcher gives ImageJ's classes a form in which its commands work without a display. Doing that
takes longer than all the rest of a start, so what it makes is kept in the user's cache folder.
"""

from __future__ import annotations

import logging
from pathlib import Path

import scyjava
from jpype import JClass
from platformdirs import user_cache_path

from care_bridge.atomic import replacing

_log = logging.getLogger(__name__)


def use_kept_classes(imagej: tuple[str, ...]) -> None:
    """Let the Java virtual machine that is started next find the changed classes, where they are
    kept. imagej: Maven coordinates of ImageJ and of the patcher."""
    if _kept(imagej).exists():
        # Before ImageJ's own, which come with the endpoints.
        scyjava.config.add_classpath(str(_kept(imagej)))


def make_headless(imagej: tuple[str, ...]) -> None:
    """Make the commands work in the Java virtual machine that was started, before any class of
    ImageJ is touched in it, and keep the changed classes, where that can be done."""
    injector = JClass("net.imagej.patcher.LegacyInjector")
    injector.preinit()  # does nothing where the classes are changed
    if _kept(imagej).exists():
        return
    try:
        with replacing(_kept(imagej)) as partial:
            injector.writeJar(JClass("java.io.File")(str(partial)), True, False)
    except OSError as error:
        _log.warning(
            "ImageJ's changed classes cannot be kept in %s (%s): every start takes longer",
            _kept(imagej).parent,
            error.strerror,
        )


def _kept(imagej: tuple[str, ...]) -> Path:
    name = "_".join(each.partition(":")[2].replace(":", "-") for each in imagej)
    return user_cache_path("care_bridge") / f"{name}.jar"
