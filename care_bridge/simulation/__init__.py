"""Simulated images with known truth.

Data sets described in micrometres, what `care-bridge simulate` makes: recipe, recipe_file, ranges;
specimens (what fluoresces), psf, blur, fields, grid; acquisition; simulated_pair, dataset, preview.

The varied planes that bundled models are trained on: pairs, scenes, optics. A pair there is drawn
from ranges of everything at once, structure included. They stay as they are, so that the recipe of
a bundled model goes on to make the very images that it was trained on.

camera is shared by both; lowlight takes a good image again in little light.
"""
