"""`penstock score`."""
