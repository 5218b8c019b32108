// Opens an image, restores it and saves the result.
//
// Parameters (key=value; a value with blanks in brackets; a flag alone):
//   input   image file
//   output  TIFF file to write
//   model   name of a bundled model, or a package's folder or .zip
//   all others of CARE Restore (docs/fiji.md)
//
// Example, from a terminal:
//   care-bridge fiji run Restore_Image input=/data/cell.tif output=/data/cell_restored.tif model=denoise-2d

arguments = getArgument();
input = call("ij.Macro.getValue", arguments, "input", "");
output = call("ij.Macro.getValue", arguments, "output", "");

if (!File.exists(input)) exit("There is no file \"" + input + "\": give input=[/path/to/image.tif].");
if (output == "") exit("There is no output: give output=[/path/to/result.tif].");
open(input);
source = getImageID();
run("CARE Restore", arguments + " macro_keys=[input output]");
saveAs("Tiff", output);
close();
if (isOpen(source)) {
    selectImage(source);
    close();
}
