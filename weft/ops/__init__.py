"""The primitives: functions from nodes to nodes, each defined once.

``elementwise``, ``movement``, ``reduce``, ``index``, ``contract``, ``random``; the constructors of
op families are in ``base``. A backend finds every primitive in ``weft.graph.node.OPS``.
"""
