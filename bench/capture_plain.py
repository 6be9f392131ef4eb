"""One reading by mysql-replication, decoding only; run by the Python of an environment that has it."""

import json
import sys
import time

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent


def main() -> None:
    task = json.loads(sys.argv[1])
    shape, url = task["load"], task["mysql"]
    stream = BinLogStreamReader(
        {"host": url["host"], "port": url["port"], "user": url["user"], "passwd": url["password"]},
        server_id=0x7E570009,
        log_file=shape["file"],
        log_pos=4,
        blocking=True,
        resume_stream=True,
        only_events=[DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent],
        only_schemas=[shape["database"]],
        only_tables=[shape["table"]],
    )
    rows, began = 0, 0.0
    for event in stream:
        began = began or time.monotonic()
        rows += len(event.rows)
        if rows >= task["rows"]:
            break
    print(json.dumps({"rows": rows, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
