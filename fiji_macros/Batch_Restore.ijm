// Restores the images of a folder and writes the results into another one.
//
// Parameters (key=value; a value with blanks in brackets; a flag alone):
//   input   folder of TIFF images (8-, 16- or 32-bit; hyperstacks are welcome)
//   output  folder of the results, which keep the images' names; it is made if it is not there
//   model   name of a bundled model, or a package's folder or .zip
//   tile, device, dtype, axes, overwrite, include_subfolders: as in CARE Restore (docs/fiji.md)
//
// Example, from a terminal:
//   care-bridge fiji run Batch_Restore input=/data/raw output=/data/restored model=denoise-2d
// Example, from another macro:
//   runMacro("/path/to/Batch_Restore.ijm", "input=[/data/raw] output=[/data/restored] model=denoise-2d");

run("CARE Batch Restore", getArgument());
