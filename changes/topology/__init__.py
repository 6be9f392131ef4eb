"""The model of ``topics.yaml``: what is captured, what is made from it, and where it goes."""

from changes.topology.load import Problem, Topology, load

__all__ = ["Problem", "Topology", "load"]
