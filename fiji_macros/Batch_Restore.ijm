// Restores the images of a folder and writes the results into another one.
//
// Parameters (key=value; a value with blanks in brackets; a flag alone):
//   input   folder of TIFF images (8-, 16- or 32-bit; hyperstacks are welcome)
//   output  folder of the results, which keep the images' names; it is made if it is not there
//   model   name of a bundled model, or a package's folder or .zip
//   all others of CARE Batch Restore (docs/fiji.md)
// Without any, in ImageJ's window, the dialog of CARE Batch Restore asks.
//
// Example, from a terminal:
//   care-bridge fiji run Batch_Restore input=/data/raw output=/data/restored model=denoise-2d
// Example, from another macro:
//   runMacro("/path/to/Batch_Restore.ijm", "input=[/data/raw] output=[/data/restored] model=denoise-2d");

run("CARE Batch Restore", getArgument());
