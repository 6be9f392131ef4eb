"""``python -m tailrace.stack``: the commands by themselves, for the supervisor of a detached stack."""

from tailrace.stack.commands import stack

stack()
