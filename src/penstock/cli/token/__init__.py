"""`penstock token`."""
