"""The kinds that every process of ours knows."""

from __future__ import annotations

from typing import Final

from runcast.kinds.base import Kind
from runcast.kinds.chat import CHAT
from runcast.kinds.chat_index import CHATTER
from runcast.kinds.plan import PLAN
from runcast.kinds.session import SESSION
from runcast.kinds.system import SYSTEM
from runcast.kinds.task import TASK
from runcast.kinds.workflow import WORKFLOW

KINDS: Final[tuple[Kind, ...]] = (SESSION, WORKFLOW, PLAN, CHAT, CHATTER, TASK, SYSTEM)
