"""`penstock hub`."""
