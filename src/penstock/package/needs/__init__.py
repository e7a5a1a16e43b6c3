"""What a model needs beside its own files: distributions, and modules of its author's own (`model_needs`)."""
