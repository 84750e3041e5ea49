"""Everything between trained weights and their use: weight files, images in, results out."""
