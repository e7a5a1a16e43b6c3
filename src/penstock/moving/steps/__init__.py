"""The steps of an import, one for each noun, in the order in which they need each other."""
