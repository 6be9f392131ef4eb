"""Deliver: from the topics into the stores, one lane for each (version, sink, tier).

A lane has its own consumer group, so that a store which is down or slow holds up nobody else. `consumer` reads off the
event loop, `prepare` turns messages into records (pure), `store` writes them and parks what is refused, `lane` decides
when, and retries; retrying is done nowhere else. `standing` tells store and group how far the lane is, and finds out
where the store went back (`stamps`, pure); `account` says what became of each record (pure), and `conservation` checks
it.
"""
