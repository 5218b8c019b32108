// Restores an image and compares it, before and after, with a good image of the same scene.
//
// Parameters (key=value; a value with blanks in brackets):
//   input    the noisy image
//   truth    the good image, of the same size
//   model    name of a bundled model, or a package's folder or .zip
//   output   CSV file for the figures; without it, they are in the Results table
//   options  more options of CARE Restore (docs/fiji.md)
//
// Example, from a terminal:
//   care-bridge fiji run Evaluate_Against_Truth input=/data/noisy.tif truth=/data/good.tif model=denoise-2d output=/data/figures.csv

open(value("input"));
noisy = getTitle();
run("CARE Restore", "model=[" + value("model") + "] " + value("options"));
restored = getTitle();
run("CARE Evaluate", "truth=[" + value("truth") + "] restored=[" + noisy + "]");
run("CARE Evaluate", "truth=[" + value("truth") + "] restored=[" + restored + "]");
for (row = 0; row < nResults; row++)
    print(getResultLabel(row) + ": PSNR " + d2s(getResult("PSNR", row), 2) + " dB, SSIM " + d2s(getResult("SSIM", row), 3));
if (value("output") != "") saveAs("Results", value("output"));

function value(key) {
    return call("ij.Macro.getValue", getArgument(), key, "");
}
