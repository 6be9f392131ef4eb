"""Capture: MySQL's binlog into Kafka, one fenced writer a version.

`events` reads the dump connection off the main thread; `emit` turns rows into Kafka records (pure); `journal` writes
them with checkpoint and positions in one Kafka transaction; `snapshot` reads watermarked chunks; `capture` is the
loop that ties them together.
"""
