"""People who chat see each other's names, and nobody's e-mail address."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, ask, known, say, until
from tests.support.clients import open_ws

from runcast.kinds.chat_state import CHAT_STATE, ChatState, Person, to_document
from runcast.kinds.chat_summary import CHAT_SUMMARY, ChatSummary
from runcast.kinds.chat_summary import to_document as line_of

BEN = {"email": "ben@example.org", "password": "correct horse battery", "name": "Ben"}


def test_members_learn_nobody_s_address(tmp_path: Path) -> None:
    with ChatServer(tmp_path / "log.db", responder=Script("Yes.", waits_after=0)) as server:
        ben = server.http.post("/api/v1/auth/register", json=BEN).json()
        mine = {"Authorization": f"Bearer {ben['access_token']}"}
        members = "/api/v1/chat/s/members"
        with (
            open_ws(server.chat("ann")) as ann,
            open_ws(server.ws("/ws/chat", token=ben["access_token"])) as ws,
        ):
            known(ann)
            known(ws)
            ask(ann, session_id="s")
            told = [
                server.as_("ann", "POST", members, json={"email": BEN["email"]}).json(),
                server.as_("ann", "POST", members, json={"user_id": "eve"}).json(),
                server.as_("ann", "DELETE", f"{members}/eve").json(),
            ]
            ask(ws, session_id="s")
            say(ws, type="resume", session_id="s", after="start")
            told += until(ws, "member_removed")
        for path in ("/api/v1/chat", "/api/v1/chat/s", "/api/v1/streams/chat:s/events"):
            answer = server.http.get(path, headers=mine)
            assert answer.status_code == 200
            told.append(answer.json())
        text = json.dumps(told)
        assert "@example.org" not in text
        assert "Ann" in text
        assert "Ben" in text


def test_nor_from_conversations_that_know_it() -> None:
    ann, ben = Person("ann", "Ann", "ann@example.org"), Person("ben", "Ben", "ben@example.org")
    document = to_document(ChatState(ann, {"ben": ben}), "s")
    line = line_of(ChatSummary(ann, {"ben": "Ben"}), "s")
    assert "@example.org" not in json.dumps([document, line])
    assert document["owner"] == line["owner"] == {"id": "ann", "name": "Ann"}
    assert document["members"] == line["members"] == [{"id": "ben", "name": "Ben"}]


def test_who_takes_part_is_kept_in_snapshots() -> None:
    ann, ben = Person("ann", "Ann"), Person("ben", "Ben")
    state, summary = ChatState(ann, {"ben": ben}, title="x"), ChatSummary(ann, {"ben": None}, title="x")
    assert CHAT_STATE.load(CHAT_STATE.dump(state)) == state
    assert CHAT_SUMMARY.load(CHAT_SUMMARY.dump(summary)) == summary
    for known_as in (state, summary):
        assert [known_as.admits(one) for one in ("ann", "ben", "eve")] == [True, True, False]
        assert [known_as.owns(one) for one in ("ann", "ben", "eve")] == [True, False, False]
