// Opens, restores and saves each image of a folder, then filters, and notes when it ends.
input = call("ij.Macro.getValue", getArgument(), "input", "");
output = call("ij.Macro.getValue", getArgument(), "output", "");
model = call("ij.Macro.getValue", getArgument(), "model", "");
names = getFileList(input);
for (i = 0; i < names.length; i++) {
	open(input + "/" + names[i]);
	run("CARE Restore", "model=[" + model + "] tile=auto device=cpu");
	print("restored " + getTitle() + " of " + nImages);
	saveAs("Tiff", output + "/" + names[i]);
	close("*");
}
newImage("ramp", "32-bit ramp", 256, 256, 4);
run("Gaussian Blur...", "sigma=2 stack");
run("Median...", "radius=2 stack");
File.saveString(d2s(getTime(), 0), output + "/ended");
