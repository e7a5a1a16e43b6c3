"""`penstock hub gc`: what was deleted is removed for good, and what nobody refers to."""
