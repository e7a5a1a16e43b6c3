"""How estimators are made ready to be written, and whether what was written answers as they do."""
