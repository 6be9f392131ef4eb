"""Replays: what stands in topics delivered once more, to some stores.

`asked` says what is to be replayed, `spans` how much that is, `book` which replays there are. A store that refuses
older changes by itself is filled by a lane of the replay's own, `beside` the live one; any other `through` its live
lane.
"""
