"""The chat feed's routes: its socket and test page, the REST twin, members, attachments, and lists."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import WebSocketRoute

from runcast.auth.secrets import new_id
from runcast.auth.users import MAX_EMAIL_CHARS
from runcast.errors import InvalidInput, ModelError
from runcast.feeds.chat.attachments import Attachments, attachments_folder
from runcast.feeds.chat.client import ChatTools
from runcast.feeds.chat.identity import CHATTING, Identity, person_of
from runcast.feeds.chat.listing import sessions_of
from runcast.feeds.chat.lists import Lists
from runcast.feeds.chat.page import test_page
from runcast.feeds.chat.quota import Quota
from runcast.feeds.chat.rooms import Rooms
from runcast.feeds.chat.socket import ChatSocket
from runcast.feeds.chat.waiting import answer_to
from runcast.feeds.chat.wire import ChatFrames
from runcast.kinds.chat import chat_stream
from runcast.kinds.chat_fields import MAX_NAME_CHARS
from runcast.kinds.chat_state import Person, shown, to_document
from runcast.live.bus import Bus
from runcast.runners.chat.service import Chats
from runcast.transport.fields import Fields, read_fields
from runcast.transport.holders import Holders
from runcast.transport.params import integer_param, query_of
from runcast.transport.permission import PUBLIC, allowed
from runcast.transport.rest import json_response
from runcast.transport.route import RequestRoute

SOCKET: Final = "/ws/chat"
"""Asks by itself who somebody is: give it to the `Gate` as one that is `asking`."""
PAGE: Final = "/ws/test"
MAX_BODY_BYTES: Final = 256 * 1024
MAX_LIST: Final = 100
SHOWN_INLINE: Final = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "audio/mpeg", "audio/ogg"}
)
"""What a browser may show by itself; of anything else it is not told what it is."""


class AnswerFailed(ModelError):
    """A question was taken, and its answer ended with an error."""

    code = "processing_error"


def chat_frames() -> ChatFrames:
    """How conversations are told to whoever reads them otherwise than by the chat's socket."""
    return ChatFrames()


def attachments_of(bus: Bus) -> Attachments:
    """The attachments of the log of `bus`; nothing is opened."""
    settings = bus.settings
    quota = Quota(settings.attachments_total_max_bytes, settings.attachments_person_max_bytes)
    folder = attachments_folder(settings.attachments, bus.log.url)
    return Attachments(folder, settings.attachments_max_bytes, quota)


def create_chat_router(
    bus: Bus, chats: Chats, holders: Holders, attachments: Attachments | None = None
) -> APIRouter:
    """The whole feed over `bus`, for a FastAPI app of one's own.

    Args:
        bus: must know the kinds `CHAT` and `CHATTER`.
        chats: the conversations; somewhere a `RunnerHost` must run them.
        holders: of connections, over a strict authenticator (`Authenticator.strict`).
        attachments: by default `attachments_of(bus)`; let `keep_attachments` look after them.
    """
    router = APIRouter(tags=["chat"], route_class=RequestRoute)
    rooms = Rooms(bus)
    chats.tell_here = rooms.tell_failure
    attachments = attachments or attachments_of(bus)
    identity = Identity(holders)
    tools = ChatTools(chats, rooms, Lists(bus), attachments, ChatFrames(), ChatFrames(rooms))
    router.routes.append(WebSocketRoute(SOCKET, ChatSocket(bus, identity, tools), name="chat"))
    page = allowed(PUBLIC, test_page())
    router.api_route(PAGE, methods=["GET", "HEAD"], include_in_schema=False)(page)
    handlers = _Chats(bus, chats, identity, attachments)
    for method, path, summary, handler in (
        ("POST", "", "Ask, and wait for the answer", handlers.ask),
        ("GET", "", "The conversations that I take part in, the latest first", handlers.index),
        ("GET", "/{session_id}", "A conversation", handlers.show),
        ("POST", "/{session_id}/members", "Invite somebody", handlers.invite),
        ("DELETE", "/{session_id}/members/{user_id}", "Remove somebody, or leave", handlers.remove),
        ("GET", "/{session_id}/attachments/{attachment_id}", "An attachment", handlers.attachment),
    ):
        router.api_route(f"/api/v1/chat{path}", methods=[method], summary=summary)(allowed(CHATTING, handler))
    return router


class _Chats:
    """The handlers. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus, chats: Chats, identity: Identity, attachments: Attachments) -> None:
        self._bus = bus
        self._chats = chats
        self._identity = identity
        self._attachments = attachments

    async def ask(self, request: Request) -> Response:
        """Whoever goes away meanwhile finds the answer in the conversation."""
        person = await self._person(request)
        fields = await read_fields(request, MAX_BODY_BYTES)
        fields.only("message", "session_id", "customer_id", "id")
        session_id = fields.text_or_none("session_id", MAX_NAME_CHARS) or f"s_{new_id()}{new_id()}"
        receipt = await self._chats.say(
            session_id,
            person,
            fields.text_or_none("message", MAX_BODY_BYTES) or "",
            customer_id=fields.text_or_none("customer_id", MAX_NAME_CHARS) or None,
            client_id=fields.text_or_none("id", MAX_NAME_CHARS) or None,
        )
        try:
            async with asyncio.timeout(self._bus.settings.chat_answer_timeout_s):
                answer = await answer_to(self._bus, receipt)
        except TimeoutError:
            raise AnswerFailed("The answer takes too long; it will be found in the conversation.") from None
        if answer.error is not None:
            raise AnswerFailed(answer.error)
        return json_response(
            {
                "response": answer.response,
                "session_id": session_id,
                "message_id": receipt.answer_id,
                "metadata": answer.metadata,
                "cancelled": answer.cancelled,
            }
        )

    async def index(self, request: Request) -> Response:
        person = await self._person(request)
        limit = integer_param(query_of(request), "limit", 50, 1, MAX_LIST)
        return json_response({"sessions": await sessions_of(self._bus, person, limit)})

    async def show(self, request: Request) -> Response:
        person = await self._person(request)
        session_id = _session_id(request)
        # the cursor first: what comes in between is told twice rather than never
        cursor = (await self._bus.info(chat_stream(session_id))).cursor
        state = await self._chats.state(session_id, person)
        return json_response({**to_document(state, session_id), "cursor": str(cursor)})

    async def invite(self, request: Request) -> Response:
        person = await self._person(request)
        session_id = _session_id(request)
        await self._chats.state(session_id, person)
        self._chats.limits.count(person)  # or one could try addresses
        member = await self._member(await read_fields(request, MAX_BODY_BYTES))
        await self._chats.add_member(session_id, person, member)
        return await self._members(session_id, person, HTTPStatus.CREATED)

    async def remove(self, request: Request) -> Response:
        person = await self._person(request)
        session_id, user_id = _session_id(request), str(request.path_params["user_id"])
        await self._chats.remove_member(session_id, person, user_id)
        if user_id == person.id:
            return json_response({"session_id": session_id, "left": True})
        return await self._members(session_id, person, HTTPStatus.OK)

    async def attachment(self, request: Request) -> Response:
        """For members only, and so that a browser does nothing with it but show pictures and play sounds."""
        person = await self._person(request)
        session_id = _session_id(request)
        await self._chats.state(session_id, person)
        attachment_id = str(request.path_params["attachment_id"])
        found, path = await asyncio.to_thread(self._attachments.open, session_id, attachment_id)
        return _file(path, found.name, found.mime)

    async def _member(self, fields: Fields) -> Person:
        fields.only("user_id", "email", "name")
        email = fields.text_or_none("email", MAX_EMAIL_CHARS)
        if email is not None:
            return await self._identity.registered(email)
        user_id = fields.text("user_id", 1, MAX_NAME_CHARS)
        name = fields.text_or_none("name", MAX_NAME_CHARS) or None
        if not user_id.isprintable() or not (name or "").isprintable():
            raise InvalidInput("user_id: printable characters are expected.", field="user_id")
        return Person(user_id, name)

    async def _members(self, session_id: str, person: Person, status: HTTPStatus) -> Response:
        state = await self._chats.state(session_id, person)
        members = [shown(one) for one in state.members.values()]
        owner = state.owner and shown(state.owner)
        return json_response({"session_id": session_id, "owner": owner, "members": members}, status)

    async def _person(self, request: Request) -> Person:
        return person_of(await self._identity.known(request.scope))


def _file(path: Path, name: str, mime: str) -> Response:
    is_shown = mime in SHOWN_INLINE
    return FileResponse(
        path,
        media_type=mime if is_shown else "application/octet-stream",
        filename=name,
        content_disposition_type="inline" if is_shown else "attachment",
        headers={
            "Cache-Control": "private, no-store",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _session_id(request: Request) -> str:
    return str(request.path_params["session_id"])
