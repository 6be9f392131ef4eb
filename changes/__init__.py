"""The vocabulary that every part shares: keys, positions, changes, records, outcomes, the canonical form
and the model of ``topics.yaml``.

Nothing here does I/O, imports a driver or knows about an event loop; import-linter holds it to that.
"""
