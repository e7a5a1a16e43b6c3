"""Reading runs, wherever they are."""
