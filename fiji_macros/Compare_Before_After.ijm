// Shows an image before and after its restoration side by side, and both along a line.
//
// Both panels are shown with one contrast. The line is the one that is selected, or else goes
// through the middle from left to right.
//
// Parameters (key=value; a value with blanks in brackets; a flag alone):
//   model    name of a bundled model, or a package's folder or .zip
//   input    image file of one plane; without it, the active image
//   output   PNG file for the panels; without it, they stay open
//   profile  CSV file for the grey levels along the line; without it, they are plotted
//   all others of CARE Restore (docs/fiji.md) but result
//
// Example, from a terminal:
//   care-bridge fiji run Compare_Before_After input=/data/cell.tif model=denoise-2d output=/data/panels.png profile=/data/line.csv

arguments = getArgument();
input = call("ij.Macro.getValue", arguments, "input", "");
output = call("ij.Macro.getValue", arguments, "output", "");
profile = call("ij.Macro.getValue", arguments, "profile", "");

if (input != "" && !File.exists(input))
    exit("There is no file \"" + input + "\": give input=[/path/to/image.tif], or leave it out.");
if (input == "" && nImages == 0) exit("There is no image: open one, or give input=[/path/to/image.tif].");
if (input != "") open(input);
if (selectionType() != 5) makeLine(0, getHeight() / 2, getWidth() - 1, getHeight() / 2);
getLine(x1, y1, x2, y2, lineWidth);
run("CARE Restore", arguments + " result=composite macro_keys=[input output profile]");
both = getImageID();
Stack.setDisplayMode("grayscale");
Stack.setChannel(2);
run("Enhance Contrast", "saturated=0.35");
getMinAndMax(low, high);
Stack.setChannel(1);
setMinAndMax(low, high);
makeLine(x1, y1, x2, y2);
before = getProfile();
Stack.setChannel(2);
after = getProfile();

if (profile == "") {
    Plot.create("Profile", "pixels along the line", "grey level");
    Plot.setColor("magenta");
    Plot.add("line", before);
    Plot.setColor("green");
    Plot.add("line", after);
    Plot.setLegend("before\tafter");
    Plot.show();
} else {
    lines = "before,after\n";
    for (i = 0; i < before.length; i++)
        lines = lines + before[i] + "," + after[i] + "\n";
    File.saveString(lines, profile);
}

selectImage(both);
run("Select None");
run("Make Montage...", "columns=2 rows=1 scale=1 border=2");
if (output != "") saveAs("PNG", output);
