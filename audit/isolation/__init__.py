"""Whether any version can see another's data: four checks of each version, and what they look at.

What is decided is pure (`database`, `network`, `data`, `container`, `composefile`); what is seen comes from `stores`
(one module a kind of server), `kafka` and `machine`. `run` puts them together.
"""
