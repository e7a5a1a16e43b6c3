"""Moving in: what another tracking server holds, brought into a hub's store with its ids, times and histories.

A `source` gives plain records in an order in which none needs one that comes later; the `importer` decides about each
of them and writes them in batches; the `target` is the store. Nothing is ever written to a source.
"""
