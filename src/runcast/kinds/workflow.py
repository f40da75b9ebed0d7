"""The workflow kind: what a workflow of agents tells, and the flat frame in which its clients read it.

A run begins with `workflow_created` (if this software runs it) and ends with `workflow_complete` or
`workflow_error`. The set of types is open: others' events are kept and passed on. The fields that clients read
without a look are in every event of a known type, whoever published it.
"""

from __future__ import annotations

from typing import Any, Final

from runcast.errors import InvalidEvent
from runcast.kinds.base import Kind, Publish
from runcast.kinds.flat import Flat
from runcast.kinds.workflow_fields import settle
from runcast.kinds.workflow_state import WORKFLOW_STATE
from runcast.kinds.workflow_summary import WORKFLOW_SUMMARY

CREATED: Final = "workflow_created"
COMMAND: Final = "workflow_command"
RESOLVED: Final = "approval_resolved"
COMPLETE: Final = "workflow_complete"
ERROR: Final = "workflow_error"
NAME: Final = "workflow"
ANSWER_ID: Final = "approval:"
"""What the id of the event that answers an approval begins with; after it comes the approval's."""

_FLAT: Final = Flat(NAME, "type", "workflow_id")
encode_frame: Final = _FLAT.encode_frame
to_frame: Final = _FLAT.to_frame


def workflow_stream(workflow_id: str) -> str:
    """The stream of a workflow; whether the name can be is checked where it is used."""
    return _FLAT.stream(workflow_id)


def workflow_id_of(stream: str) -> str:
    """The workflow whose stream this is."""
    return _FLAT.id_of(stream)


def normalise(publish: Publish) -> dict[str, Any]:
    """The fields to be stored: those of its type, always there and of their type, then the publisher's own.

    An absent or null field becomes what stands for unknown, over-long texts are cut with a mark, reserved names
    are moved under `data`. The envelope's names are dropped if they repeat what the envelope says.

    Raises:
        InvalidEvent: a field has a wrong type or value, or contradicts the envelope; the message names it.
    """
    fields = settle(publish.type, _FLAT.fields(publish))
    if publish.id is not None and publish.id.startswith(ANSWER_ID):
        _check_answer(publish, fields)
    return fields


def refers(publish: Publish) -> list[str]:
    """The stream of the workflow that is followed up: its synthesis is given to the agents of this one."""
    parent = publish.data.get("parent_workflow_id") if publish.type == CREATED else None
    return [workflow_stream(parent)] if isinstance(parent, str) else []


def sign(publish: Publish, name: str) -> None:
    """Who begins a workflow, gives it a command or answers it is who publishes that."""
    if publish.type in {CREATED, COMMAND, RESOLVED}:
        publish.data = {**publish.data, "by": name}


def _check_answer(publish: Publish, fields: dict[str, Any]) -> None:
    """The first event of such an id is the only one: anything else in its place would leave a question unanswered."""
    asked = fields.get("approval_id")
    if publish.type != RESOLVED or publish.id != f"{ANSWER_ID}{asked}":
        raise InvalidEvent(
            f"id: one that begins with {ANSWER_ID} is for the {RESOLVED} of that approval only.", field="id"
        )


WORKFLOW: Final = Kind(
    name=NAME,
    starts=frozenset({CREATED}),
    terminals=frozenset({COMPLETE, ERROR}),
    watch_from="start",
    normalise=normalise,
    refers=refers,
    sign=sign,
    folds={WORKFLOW_STATE.name: WORKFLOW_STATE, WORKFLOW_SUMMARY.name: WORKFLOW_SUMMARY},
)
