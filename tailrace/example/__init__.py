"""The built-in example: a recruiting platform's MySQL schema, its data, and live traffic on it.

`generate` makes rows (pure), `load` puts them into MySQL, `traffic` changes them at a given rate,
and `ledger` keeps a table whose history can be checked change by change.
"""
