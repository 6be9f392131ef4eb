"""Each store's client without a sink around it: the plainest bulk upsert that it has, one module a store.

A module has ``async def raw_upsert(url: str, place: str, batches: Sequence[Sequence[Record]]) -> None``, which
connects, makes what ``place`` needs, writes the batches one after the other, each durably, and closes.
"""
