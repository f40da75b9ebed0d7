"""The clients of the task document, run as they stand: Python, TypeScript, the browser's console; and Swift's struct."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

from tests.documents.snippets import SEEDS, at, javascript, python, snippets
from tests.documents.tasks import CLIENT_TASK, DOCUMENT, STEPS, block, blocks, server, without_types
from tests.runners import task_program
from tests.support.server import wait_until
from tests.support.swift import ProgressMessage
from tests.support.task_server import TaskServer

from runcast.config import Settings

__all__ = ["server"]

SWIFT_TYPES = {"String": str, "Int": int, "Bool": bool}


def test_the_python_client_prints_what_is_published(server: TaskServer, tmp_path: Path) -> None:
    server.publish(CLIENT_TASK, STEPS[0])
    with python(tmp_path, at(server, block("Python", "python"))) as client:
        client.until(
            "Connected to agent progress stream",
            "Progress: 0% - Connected to agent progress stream",
            "Progress: 10% - Extracting entities from text...",
        )
        server.publish(CLIENT_TASK, *STEPS[1:])
        client.until("Progress: 35% - Checking...", "Progress: 100% - Analysis complete!", "Agent completed")
        assert client.process.wait(20) == 0


def test_the_python_client_that_comes_after_the_end_gets_all_of_it(
    server: TaskServer, tmp_path: Path
) -> None:
    server.publish(CLIENT_TASK, STEPS[0], {"step": "failed", "message": "Analysis failed: Tool timeout"})
    with python(tmp_path, at(server, block("Python", "python"))) as client:
        client.until(
            "Progress: 10% - Extracting entities from text...",
            "Progress: 0% - Analysis failed: Tool timeout",
            "Agent failed",
        )
        assert client.process.wait(20) == 0


def test_the_python_client_passes_over_heartbeats_and_survives_the_timeout(tmp_path: Path) -> None:
    with (
        TaskServer(tmp_path / "log.db", runs=False, task_heartbeat_s=0.05, task_timeout_s=0.5) as server,
        python(tmp_path, at(server, block("Python", "python"))) as client,
    ):
        client.until("Progress: 0% - Connected to agent progress stream")
        wait_until(lambda: any("No message from the task" in line for line in client.lines))
        assert client.process.wait(20) == 0  # its own words for the close code follow
    assert not any("heartbeat" in line for line in client.lines)


def test_the_python_client_survives_a_refusal(tmp_path: Path) -> None:
    """It shows no key, and prints what every frame must have: it does not stumble over a KeyError."""
    with (
        TaskServer(
            tmp_path / "log.db", runs=False, api_keys=("the-key-of-the-tests",), unauthenticated_s=0.2
        ) as server,
        python(tmp_path, at(server, block("Python", "python"))) as client,
    ):
        wait_until(lambda: any(line.startswith("Progress: 0% - ") for line in client.lines))
        assert client.process.wait(20) == 0
    assert not any(
        "KeyError" in line or line in {"Error: 'percent'", "Error: 'step'"} for line in client.lines
    )
    assert server.made.store is not None
    server.made.store.close()


def test_the_python_client_hears_that_a_task_was_cancelled(tmp_path: Path) -> None:
    with TaskServer(tmp_path / "log.db", load=(task_program.__name__,), runner_lease_s=1.0) as server:
        server.begin("tidy", task_id=CLIENT_TASK, folder=str(tmp_path))
        with python(tmp_path, at(server, block("Python", "python"))) as client:
            client.until("Progress: 50% - at work")
            assert server.http.post(f"/api/v1/tasks/{CLIENT_TASK}/cancel", json={}).status_code == 202
            client.until("Progress: 50% - Cancelled by local.", "Agent failed")
            assert client.process.wait(20) == 0


def test_the_typescript_client_prints_what_is_published(server: TaskServer, tmp_path: Path) -> None:
    code = without_types(at(server, block("JavaScript/TypeScript", "typescript")))
    server.publish(CLIENT_TASK, STEPS[0])
    with javascript(tmp_path, code) as client:
        client.until("Connected to agent progress stream", "Progress: 10% - Extracting entities from text...")
        server.publish(CLIENT_TASK, *STEPS[1:])
        client.until("Progress: 100% - Analysis complete!", "Analysis complete!", "WebSocket closed")
        assert client.process.wait(20) == 0


def test_the_browsers_console_shows_the_frames(server: TaskServer, tmp_path: Path) -> None:
    code = at(server, block("Manual Test with Browser Console", "javascript"))
    server.publish("test-123", *STEPS)
    with javascript(tmp_path, code) as client:
        client.until("Connected", "Closed")
        assert client.process.wait(20) == 0
    assert any("step: 'completed'" in line for line in client.lines)


def test_the_strict_decoder_is_the_documents_struct() -> None:
    (code,) = [one.code for one in blocks("swift")]
    declared = dict(re.findall(r"^    let (\w+): (\w+)\?$", code, re.MULTILINE))
    hints = get_type_hints(ProgressMessage)
    assert {name: SWIFT_TYPES[kind] for name, kind in declared.items()} == {
        name: get_args(hint)[0] for name, hint in hints.items()
    }


def test_the_frames_have_all_that_the_document_shows(tmp_path: Path) -> None:
    text = (SEEDS / DOCUMENT).read_text(encoding="utf-8") if snippets(DOCUMENT) else ""
    shown = [
        json.loads(one) for one in re.findall(r"^```json\n(\{.*?^\})\n", text, re.MULTILINE | re.DOTALL)[1:]
    ]
    assert len(shown) == 5
    with TaskServer(tmp_path / "log.db", runs=False, task_heartbeat_s=0.02, task_timeout_s=0.3) as server:
        for step in ("completed", "failed"):
            frames = [one for one in shown if one.get("step") in {"scam_db", step}]
            server.publish(f"t-{step}", *frames)
            told = server.story(f"t-{step}")
            assert told[0].items() >= without_time(shown[0]).items()
            for frame, documented in zip(told[1:], frames, strict=True):
                assert frame.items() >= documented.items()


def without_time(frame: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in frame.items() if name != "timestamp"}


def test_no_code_of_the_document_is_left_out() -> None:
    """The server's own source in it is configuration: its two times are settings."""
    ours = {
        ("Python", "python"),
        ("JavaScript/TypeScript", "typescript"),
        ("Manual Test with Browser Console", "javascript"),
        ("Swift (iOS)", "swift"),
        ("From Agent Code", "python"),
        ("Direct Redis Publishing", "python"),
    }
    languages = {"python", "typescript", "javascript", "swift"}
    found = {(one.heading, one.language) for one in snippets(DOCUMENT) if one.language in languages}
    assert found == ours | {("Server Configuration", "python")}
    theirs = block("Server Configuration", "python")
    assert "timeout_seconds = 60" in theirs
    assert "heartbeat_interval = 15" in theirs
    assert (Settings().task_timeout_s, Settings().task_heartbeat_s) == (60, 15)
