"""Files of runs beyond what is on disk already: tables, images, and reading files back."""
