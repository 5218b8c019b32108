// What a model tells of its uncertainty, as images of their own.
input = call("ij.Macro.getValue", getArgument(), "input", "");
output = call("ij.Macro.getValue", getArgument(), "output", "");
model = call("ij.Macro.getValue", getArgument(), "model", "");
options = "model=[" + model + "] confidence=0.8 samples=3 device=cpu";
kinds = newArray("scale", "interval", "samples", "disagreement");
for (i = 0; i < kinds.length; i++) {
	open(input);
	run("CARE Restore", options + " uncertainty=" + kinds[i]);
	print("active " + getTitle() + " of " + nImages);
	saveAs("Tiff", output + "/restored_" + kinds[i] + ".tif");
	selectImage("cell_restored_" + kinds[i] + ".tif");
	saveAs("Tiff", output + "/" + kinds[i] + ".tif");
	close("*");
}
open(input);
run("CARE Restore", options + " result=replace uncertainty=scale");
print("active " + getTitle() + " of " + nImages);
