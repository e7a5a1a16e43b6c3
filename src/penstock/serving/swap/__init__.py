"""Which version answers: followers of a registry, and the swap from one version to the next."""
