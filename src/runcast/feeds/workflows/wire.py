"""The frames of the workflow feed: flat, `{"type", "workflow_id", …}`.

A client made from the document reads `type` of every message, and other fields only of those types that it knows: so
control frames (`connected`, `ping`, `pong`, `gap`, `reset`, `end`, `error`, `authenticated`) are flat, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from runcast.core.event import stream_name
from runcast.errors import InvalidEvent
from runcast.kinds.base import Publish
from runcast.kinds.workflow import NAME, encode_frame
from runcast.kinds.workflow_state import WorkflowState
from runcast.live.codec import Message
from runcast.transport.flat_frames import FlatFrames, publish_of

WELCOME: Final = "Connected to workflow stream"


def workflow_frames(workflow_id: str = "") -> FlatFrames:
    """How one workflow's stream is told; without an id, for readers that know which one they read.

    The terminal frame is the end that the document knows, and the socket closes after it: `end` is said only of a run
    that was sealed without one.
    """
    named = {"workflow_id": workflow_id} if workflow_id else {}
    return FlatFrames(NAME, encode_frame, named, tells_end=False)


def connected_frame(frames: FlatFrames, now_us: int) -> Message:
    """The first frame that a client gets."""
    return frames.control("connected", now_us, {"message": WELCOME})


def status_frame(frames: FlatFrames, state: WorkflowState, now_us: int) -> Message:
    """The answer to `status`: how far the workflow is, in a frame that is no event of its stream."""
    fields = {
        "status": state.status,
        "attempt": state.attempt,
        "progress": msgspec.to_builtins(state.progress),
    }
    return frames.control("workflow_status", now_us, fields)


def from_frame(workflow_id: str, frame: Mapping[str, Any]) -> Publish:
    """Read a flat frame that somebody sends to a workflow, ready for the bus.

    `type` is required; `event_id`, `timestamp` and `workflow_id` may be absent or null; `seq` and `cursor` are the
    log's to give, and left out.

    Raises:
        InvalidEvent: one of these is missing, malformed, or names another workflow.
        InvalidStreamName: no workflow can be called `workflow_id`.
    """
    stream = stream_name(NAME, workflow_id)
    named = frame.get("workflow_id")
    if named is not None and named != workflow_id:
        raise InvalidEvent("workflow_id: not the workflow that this is sent to.", field="workflow_id")
    return publish_of(stream, {name: value for name, value in frame.items() if name != "workflow_id"})
