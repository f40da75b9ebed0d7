"""A page of another origin, in a real browser: it can neither write, nor read, nor watch (CORS; RFC 6455 §10.2)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright
from tests.support.server import ThreadServer, flat
from tests.web.conftest import CHROMIUM

PAGE = "<!doctype html><title>Kittens</title><p>Look at these kittens."

TRY_ALL = """
async ([url, ws]) => {
    const settled = (promise) => promise.then((what) => `done: ${what}`, (error) => error.name);
    const event = JSON.stringify({event_type: "a", event_id: "evil"});
    const post = (type, mode) => fetch(`${url}/api/sessions/s/events`, {
        method: "POST", body: event, mode, headers: type ? {"Content-Type": type} : {},
    }).then((answer) => answer.type === "opaque" ? "sent, unseen" : answer.status);
    const form = () => new Promise((done) => {
        const frame = document.createElement("iframe");
        frame.name = "hidden";
        document.body.append(frame);
        const form = document.createElement("form");
        Object.assign(form, {method: "POST", action: `${url}/api/sessions/s/events`, target: "hidden", enctype: "text/plain"});
        const input = document.createElement("input");
        Object.assign(input, {name: event.slice(0, -1) + ', "x": "', value: '"}'});
        form.append(input);
        document.body.append(form);
        frame.addEventListener("load", () => done("loaded"));
        form.submit();
    });
    const watch = () => new Promise((done) => {
        const source = new EventSource(`${url}/api/v1/streams/session:s/sse?after=start`);
        source.onmessage = (message) => done(message.data);
        source.onerror = () => { source.close(); done("refused"); };
    });
    const connect = () => new Promise((done) => {
        const heard = [];
        const socket = new WebSocket(ws);
        socket.onmessage = ({data}) => heard.push(JSON.parse(data).code ?? data);
        socket.onclose = ({code}) => done([...heard, code].join(" "));
    });
    return {
        json: await settled(post("application/json", "cors")),
        text: await settled(post("text/plain", "cors")),
        unseen: await settled(post("text/plain", "no-cors")),
        form: await form(),
        read: await settled(fetch(`${url}/api/sessions/s/events`).then((answer) => answer.text())),
        deleted: await settled(fetch(`${url}/api/v1/streams/session:s`, {method: "DELETE"})),
        watch: await watch(),
        socket: await connect(),
        frame: await settled(new Promise((done, failed) => {
            const frame = document.createElement("iframe");
            frame.src = url;
            frame.onload = () => { try { done(frame.contentDocument.title); } catch (error) { failed(error); } };
            document.body.append(frame);
        })),
    };
}
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that is overridden
        pass


@pytest.fixture
def foreign_page(tmp_path: Path) -> Iterator[Page]:
    """A page of `localhost` at another port: another origin, of the same site."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text(PAGE)
    site = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(f"http://localhost:{site.server_port}/")
            yield page
            browser.close()
    finally:
        site.shutdown()
        site.server_close()
        thread.join()


def test_a_page_of_another_origin_can_do_nothing(tmp_path: Path, foreign_page: Page) -> None:
    with ThreadServer(tmp_path / "log.db") as server:
        server.post("s", flat(0))
        url = f"http://localhost:{server.port}"
        outcome: dict[str, Any] = foreign_page.evaluate(
            TRY_ALL, [url, f"ws://localhost:{server.port}/ws/events/s"]
        )
        events = server.get("/api/sessions/s/events")["events"]
    assert [event["event_id"] for event in events] == ["e0"], "nothing was written or deleted"
    assert outcome == {
        "json": "TypeError",
        "text": "TypeError",
        "unseen": "done: sent, unseen",  # refused by its Origin, as the events show
        "form": "loaded",  # so is this
        "read": "TypeError",
        "deleted": "TypeError",
        "watch": "refused",
        "socket": "forbidden 1008",
        "frame": outcome["frame"],
    }
    assert outcome["frame"] in {"TypeError", "SecurityError", "done: "}
