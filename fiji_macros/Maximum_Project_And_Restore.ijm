// Makes the maximum projection of a stack along Z and restores it.
//
// Parameters (key=value; a value with blanks in brackets; a flag alone):
//   model    name of a bundled model, or a package's folder or .zip
//   input    image file; without it, the active image
//   output   TIFF file to write; without it, the result stays open
//   all others of CARE Restore (docs/fiji.md)
//
// Example, from a terminal:
//   care-bridge fiji run Maximum_Project_And_Restore input=/data/stack.tif output=/data/flat.tif model=denoise-2d

arguments = getArgument();
input = call("ij.Macro.getValue", arguments, "input", "");
output = call("ij.Macro.getValue", arguments, "output", "");

if (input != "" && !File.exists(input))
    exit("There is no file \"" + input + "\": give input=[/path/to/image.tif], or leave it out.");
if (input == "" && nImages == 0) exit("There is no image: open one, or give input=[/path/to/image.tif].");
if (input != "") open(input);
run("Z Project...", "projection=[Max Intensity] all");
run("CARE Restore", arguments + " macro_keys=[input output]");
if (output != "") saveAs("Tiff", output);
