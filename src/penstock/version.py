"""The release of this code. It is a file of its own so that every room may know it without importing the whole package;
flit reads it here, too."""

__version__ = "0.1.0"
