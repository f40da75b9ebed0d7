"""The close codes that clients get (RFC 6455 §7.4.1 and its registry).

Clients come back on 1001, 1006, 1011, 1012 and 1013; all others are final.
"""

from __future__ import annotations

from typing import Final

NORMAL: Final = 1000
INVALID_DATA: Final = 1007
POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013
