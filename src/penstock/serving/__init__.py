"""Models behind an event loop: runners, batching, versions and their swaps. No HTTP here."""
