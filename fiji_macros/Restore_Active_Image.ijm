// Restores the active image; the result is a new image.
//
// Parameters (key=value; a value with blanks in brackets; a flag alone):
//   model  name of a bundled model, or a package's folder or .zip
//   all others of CARE Restore (docs/fiji.md)
// Without any, in ImageJ's window, the dialog of CARE Restore asks.
//
// Example, from another macro:
//   open("/data/cell.tif");
//   runMacro("/path/to/Restore_Active_Image.ijm", "model=denoise-2d result=replace");

run("CARE Restore", getArgument());
