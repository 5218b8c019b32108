// Restores the active image; the result is a new image.
//
// Parameters: those of CARE Restore (docs/fiji.md), model at least. Without any, in ImageJ's window,
// the dialog of CARE Restore asks.
//
// Example, from another macro:
//   open("/data/cell.tif");
//   runMacro("/path/to/Restore_Active_Image.ijm", "model=denoise-2d result=replace");

run("CARE Restore", getArgument());
