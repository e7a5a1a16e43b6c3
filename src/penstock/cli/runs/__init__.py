"""`penstock runs …`."""
