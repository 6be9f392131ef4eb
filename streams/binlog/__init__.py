"""MySQL's and MariaDB's binlog: the dump connection (I/O), and its events decoded (pure)."""
