"""Enrich: from changes to what models make of them, on topics of their own. A process of its own, on Faust.

`derive` decides what is emitted (pure), `table` runs one table's enrichers over a batch, `lanes` keep the order of a
key while calls take their time, `app` is the Faust application around them. Faust is used where work for a message
takes milliseconds or more; nothing rests on its guarantees: results are fenced by generation and position.
"""
