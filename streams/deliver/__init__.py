"""Deliver: from the topics into the stores, one lane for each (version, sink, tier).

A lane has its own consumer group, so that a store which is down or slow holds up nobody else. `consumer` reads off the
event loop, `prepare` turns messages into records (pure), `lane` writes, retries, parks and commits; retrying is done
nowhere else.
"""
