// Restores a rectangle of an image, with the whole image's percentiles and the pixels around it.
//
// Parameters (key=value; a value with blanks in brackets; a flag alone):
//   model                name of a bundled model, or a package's folder or .zip
//   input                image file; without it, the active image
//   x, y, width, height  the rectangle in pixels; without them, what is selected
//   output               TIFF file to write; without it, the result stays open
//   all others of CARE Restore (docs/fiji.md)
//
// Example, from a terminal:
//   care-bridge fiji run Restore_Selection input=/data/cell.tif x=100 y=80 width=256 height=256 model=denoise-2d output=/data/part.tif

arguments = getArgument();
input = call("ij.Macro.getValue", arguments, "input", "");
x = call("ij.Macro.getValue", arguments, "x", "");
y = call("ij.Macro.getValue", arguments, "y", "");
width = call("ij.Macro.getValue", arguments, "width", "");
height = call("ij.Macro.getValue", arguments, "height", "");
output = call("ij.Macro.getValue", arguments, "output", "");

place = newArray(x, y, width, height);
numbers = 0;
for (i = 0; i < place.length; i++)
    if (!isNaN(parseFloat(place[i]))) numbers++;
if (x + y + width + height != "" && numbers != 4)
    exit("The rectangle is not complete: give x, y, width and height in pixels, or none of them.");
if (input != "" && !File.exists(input))
    exit("There is no file \"" + input + "\": give input=[/path/to/image.tif], or leave it out.");
if (input == "" && nImages == 0) exit("There is no image: open one, or give input=[/path/to/image.tif].");
if (input != "") open(input);
if (width != "") makeRectangle(x, y, width, height);
if (selectionType() != 0) exit("Select a rectangle first, or give x, y, width and height.");
run("CARE Restore", arguments + " macro_keys=[input x y width height output]");
if (output != "") saveAs("Tiff", output);
