// Restores the movies of a folder, each frame with its own percentiles (for samples that bleach).
//
// Parameters (key=value; a value with blanks in brackets):
//   input   folder of TIFF movies, or of stacks whose slices are the frames
//   output  folder of the results, which keep the movies' names
//   model   name of a bundled model, or a package's folder or .zip
//   all others of CARE Batch Restore (docs/fiji.md) but axes and normalize
//
// Example, from a terminal:
//   care-bridge fiji run Batch_Restore_Timelapse input=/data/movies output=/data/restored model=denoise-2d

run("CARE Batch Restore", "axes=TYX normalize=per-frame " + getArgument());
