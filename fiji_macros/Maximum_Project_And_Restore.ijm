// Makes the maximum projection of a stack along Z and restores it.
//
// Parameters (key=value; a value with blanks in brackets):
//   model    name of a bundled model, or a package's folder or .zip
//   input    image file; without it, the active image
//   output   TIFF file to write; without it, the result stays open
//   options  more options of CARE Restore (docs/fiji.md)
//
// Example, from a terminal:
//   care-bridge fiji run Maximum_Project_And_Restore input=/data/stack.tif output=/data/flat.tif model=denoise-2d

if (value("input") != "") open(value("input"));
run("Z Project...", "projection=[Max Intensity] all");
run("CARE Restore", "model=[" + value("model") + "] " + value("options"));
if (value("output") != "") saveAs("Tiff", value("output"));

function value(key) {
    return call("ij.Macro.getValue", getArgument(), key, "");
}
