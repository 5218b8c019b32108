// Opens an image, restores it and saves the result.
//
// Parameters (key=value; a value with blanks in brackets):
//   input   image file
//   output  TIFF file to write
//   model   name of a bundled model, or a package's folder or .zip
//
// Example, from a terminal:
//   care-bridge fiji run Restore_Image input=/data/cell.tif output=/data/cell_restored.tif model=denoise-2d

arguments = getArgument();
input = call("ij.Macro.getValue", arguments, "input", "");
output = call("ij.Macro.getValue", arguments, "output", "");
model = call("ij.Macro.getValue", arguments, "model", "");

open(input);
run("CARE Restore", "model=[" + model + "]");
saveAs("Tiff", output);
close("*");
