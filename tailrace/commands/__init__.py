"""One file a command; `tailrace.cli` lists them."""
