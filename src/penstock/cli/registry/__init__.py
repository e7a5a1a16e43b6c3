"""`penstock registry …`."""
