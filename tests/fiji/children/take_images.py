"""Takes every image case to ImageJ and back, and writes down how ImageJ itself sees it.

Arguments: the Fiji ("" for plain ImageJ), the folder for what is written.
"""

import json
import pickle
import sys
from pathlib import Path

from care_bridge.fiji.gateway import start

start(sys.argv[1] or None)

from jpype import JArray, JClass, JDouble  # noqa: E402

from care_bridge.errors import FijiError  # noqa: E402
from care_bridge.fiji.images import from_imageplus, to_imageplus  # noqa: E402
from tests.fiji.image_cases import CASES, COLOUR  # noqa: E402


def seen(imp):
    """What ImageJ's own methods say of an image."""
    cal = imp.getCalibration()
    width, height, channels, slices, frames = (int(size) for size in imp.getDimensions())
    return {
        "bits": int(imp.getBitDepth()),
        "class": str(imp.getClass().getName()),
        "size": [float(cal.pixelDepth), float(cal.pixelHeight), float(cal.pixelWidth)],
        "unit": str(cal.getUnit()),
        "interval": float(cal.frameInterval),
        "values": [  # TZCYX
            [
                [
                    [
                        [
                            ip.getf(x, y) if imp.getBitDepth() != 24 else ip.get(x, y) & 0xFFFFFF
                            for x in range(width)
                        ]
                        for y in range(height)
                    ]
                    for c in range(channels)
                    for ip in [stack.getProcessor(imp.getStackIndex(c + 1, z + 1, t + 1))]
                ]
                for z in range(slices)
            ]
            for stack in [imp.getStack()]
            for t in range(frames)
        ],
    }


folder = Path(sys.argv[2])
facts = {}
for name, image in {**CASES, "colour": COLOUR}.items():
    imp = to_imageplus(image, name)
    facts[name] = seen(imp)
    (folder / f"{name}.pickle").write_bytes(pickle.dumps(from_imageplus(imp)))
    JClass("ij.IJ").saveAsTiff(imp, str(folder / f"{name}.tif"))

for title, calibrate in {
    "signed": lambda cal: cal.setSigned16BitCalibration(),
    "density": lambda cal: cal.setFunction(0, JArray(JDouble)([0.0, 0.01]), "OD"),
    "optical": lambda cal: cal.setFunction(21, None, "Uncalibrated OD"),
}.items():
    imp = JClass("ij.IJ").createImage(title, "16-bit ramp", 8, 8, 1)
    calibrate(imp.getCalibration())
    JClass("ij.IJ").save(imp, str(folder / f"{title}.tif"))
    try:
        from_imageplus(imp)
    except FijiError as error:
        facts[title] = str(error)
    JClass("ij.IJ").run(imp, "32-bit", "")
    JClass("ij.IJ").save(imp, str(folder / f"{title} applied.tif"))
    facts[f"{title} applied"] = [float(level) for level in from_imageplus(imp).pixels[0]]
(folder / "facts.json").write_text(json.dumps(facts))
