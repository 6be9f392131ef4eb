"""Stores spoilt behind the line's back, straight in each of them: what an audit must find, and what it must call it."""
