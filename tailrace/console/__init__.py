"""The console: one page that answers whether everything is equal, and if not, where.

A process of its own on a loopback address. It holds no store's secret: what it shows it asks of each version's agent,
through the agent's socket (`tailrace.agent.api`). Nothing can be changed from it unless it was started to allow that.
"""
