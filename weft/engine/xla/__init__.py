"""The backend for GPUs and TPUs: recorded graphs lowered to XLA through JAX.

``platform`` knows the devices, ``lowering`` has one rule for each primitive, ``program`` runs a
graph, ``faults`` tells afterwards what went wrong in it. Needs an extra of weft (``weft[cuda]``,
``weft[tpu]``, or ``weft[xla]`` for the CPU); nothing here is imported before a device is asked for.
"""
