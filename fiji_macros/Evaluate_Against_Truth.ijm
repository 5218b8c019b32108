// Restores an image and compares it, before and after, with a good image of the same scene.
//
// Parameters (key=value; a value with blanks in brackets; a flag alone):
//   input    the noisy image
//   truth    the good image, of the same size
//   model    name of a bundled model, or a package's folder or .zip
//   output   CSV file for the figures; without it, they are in the Results table
//   all others of CARE Restore (docs/fiji.md) but result
//
// Example, from a terminal:
//   care-bridge fiji run Evaluate_Against_Truth input=/data/noisy.tif truth=/data/good.tif model=denoise-2d output=/data/figures.csv

arguments = getArgument();
input = call("ij.Macro.getValue", arguments, "input", "");
truth = call("ij.Macro.getValue", arguments, "truth", "");
output = call("ij.Macro.getValue", arguments, "output", "");

if (!File.exists(input)) exit("There is no file \"" + input + "\": give input=[/path/to/image.tif].");
if (!File.exists(truth) && !isOpen(truth))
    exit("There is no file and no image \"" + truth + "\": give truth=[/path/to/good.tif].");
open(input);
noisy = getTitle();
run("CARE Restore", arguments + " result=new macro_keys=[input truth output]");
restored = getTitle();
before = nResults;
run("CARE Evaluate", "truth=[" + truth + "] restored=[" + noisy + "]");
after = nResults;
run("CARE Evaluate", "truth=[" + truth + "] restored=[" + restored + "]");
tell("before", before);
tell("after", after);
if (output != "") saveAs("Results", output);

function tell(when, row) {
    print(when + ": PSNR " + d2s(getResult("PSNR", row), 2) + " dB, SSIM "
        + d2s(getResult("SSIM", row), 3) + ", NRMSE " + d2s(getResult("NRMSE", row), 4));
}
