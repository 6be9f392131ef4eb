"""Erasing a person: what is deleted, what it is followed through, and how it is shown that nothing is left."""
