"""`penstock package …`."""
