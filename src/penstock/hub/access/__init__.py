"""Who may ask the hub what: tokens and their roles, hosts that the hub answers for, origins of browsers."""
