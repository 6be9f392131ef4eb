"""Broken binlog streams for both readers: each must end in records or a clear error, and in the same for both.

``python -m tools.fuzz --seconds 600`` runs it and prints what it found; `seeds` are streams of real servers, `mutate`
breaks them, `worker` reads them in a process of its own, whose memory and time are bounded.
"""
