"""Proof that the stores hold what MySQL holds."""
