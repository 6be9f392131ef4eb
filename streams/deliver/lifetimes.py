"""How much of its lifetime a cached row has behind it when it comes late, or again: pure."""

from collections.abc import Callable

import msgspec

from streams.deliver.prepare import Consumed, Prepared


def aged(prepared: Prepared, told_ms: Callable[[Consumed], int], now_ms: int) -> None:
    """Has the records of a `cache` say how long ago their changes were written to their topic.

    ``told_ms`` says when a message was, in milliseconds since 1970; a lifetime counts from then, not from when a store
    that was away, or is filled again, comes to it.
    """
    for number, record in enumerate(prepared.records):
        if record.target.keep != "cache" or record.row is None:
            continue
        message = prepared.message_of[id(record)]
        lived = (now_ms - told_ms(message)) // 1000
        if lived > 0:
            prepared.records[number] = aged_ = msgspec.structs.replace(record, lived=lived)
            del prepared.message_of[id(record)]
            prepared.message_of[id(aged_)] = message
