"""The peer that Runcast is measured against: what one writes first with FastAPI, in memory, without a log.

A POST gives its events numbers and sends each to each client in turn before it answers.
"""

from contextlib import suppress

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect

app = FastAPI()
clients: dict[str, list[WebSocket]] = {}
last_seq: dict[str, int] = {}


@app.get("/health")
async def health() -> dict[str, str]:
    """Answer when the server is up."""
    return {"status": "ok"}


@app.websocket("/ws/events/{session_id}")
async def watch(websocket: WebSocket, session_id: str) -> None:
    """Keep a client on the list for as long as it is connected."""
    await websocket.accept()
    clients.setdefault(session_id, []).append(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        clients[session_id].remove(websocket)


@app.post("/api/v1/streams/session:{session_id}/events")
async def publish(session_id: str, request: Request) -> dict[str, int]:
    """Number the events and send them to every client, one message for each event."""
    events = await request.json()
    first = last_seq.get(session_id, 0) + 1
    last_seq[session_id] = first + len(events) - 1
    for seq, event in enumerate(events, first):
        frame = {"event_type": event["type"], "seq": seq, **event["data"]}
        for websocket in list(clients.get(session_id, ())):
            with suppress(WebSocketDisconnect, RuntimeError):  # it left while we were sending
                await websocket.send_json({"type": "batch", "count": 1, "events": [frame]})
    return {"first_seq": first, "last_seq": last_seq[session_id], "count": len(events)}
