"""The few settings that come from the environment. No other file reads ``os.environ``."""

from __future__ import annotations

import os

#: The pending graph is run when it holds more nodes than this ...
MAX_PENDING_NODES = int(os.environ.get("WEFT_MAX_PENDING_NODES", "20000"))

#: ... or more bytes of host data that came in since the last run.
MAX_PENDING_BYTES = int(os.environ.get("WEFT_MAX_PENDING_BYTES", "268435456"))
