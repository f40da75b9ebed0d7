"""What a terminal shows of a run, without any terminal: rows that have room, questions, keys, odd events."""

from __future__ import annotations

from io import StringIO
from typing import Any

import msgspec
from rich.console import Console

from runcast.cli.lines import line_of
from runcast.cli.run_asking import Asking
from runcast.cli.run_screen import Screen
from runcast.cli.run_watching import PlanWatching, Question, WorkflowWatching
from runcast.core.event import format_time, parse_time

BEGAN = "2026-01-31T12:00:00Z"
BEGAN_S = parse_time(BEGAN, 2**62) / 1e6


def event(
    stream: str, seq: int, event_type: str, data: dict[str, Any], after_s: float = 0.0
) -> dict[str, Any]:
    time = format_time(round((BEGAN_S + after_s) * 1e6))
    return {"stream": stream, "seq": seq, "id": f"e{seq}", "type": event_type, "time": time, "data": data}


def a_plan(steps: int) -> PlanWatching:
    run = PlanWatching("p")
    definitions = [{"step_id": f"s{number}"} for number in range(steps)]
    data = {"name": "Many", "steps": definitions, "managed": True}
    run.take(event("plan:p", 1, "plan_started", {"step_id": None, "data": data}))
    return run


def tell(
    run: PlanWatching, seq: int, event_type: str, step_id: str, after_s: float = 0.0, **data: Any
) -> None:
    run.take(event("plan:p", seq, event_type, {"step_id": step_id, "data": data}, after_s))


def shown(
    run: PlanWatching | WorkflowWatching, asking: Asking | None = None, *, ascii_only: bool = False
) -> list[str]:
    out = StringIO()
    console = Console(
        file=out, width=80, height=20, force_terminal=True, color_system=None, legacy_windows=False
    )
    options = console.options.update() if not ascii_only else console.options.copy()
    if ascii_only:
        options.encoding = "ascii"
    screen = Screen(run, asking or Asking(), "Ctrl-C cancels it", BEGAN_S + 10)
    for line in console.render_lines(screen, options, pad=False):
        out.write("".join(segment.text for segment in line).rstrip() + "\n")
    return out.getvalue().splitlines()


def test_rows_have_room_for_where_something_happens() -> None:
    run = a_plan(200)
    for number in range(150):
        tell(run, 2 + 2 * number, "step_started", f"s{number}", attempt=1)
        if number != 70:
            tell(run, 3 + 2 * number, "step_completed", f"s{number}", seconds=1.0, result="x")
    lines = shown(run)
    assert len(lines) <= 20
    assert any(line.startswith("  s70 ") and "running" in line for line in lines)
    assert any("more steps: " in line and "completed" in line and "waiting" in line for line in lines)
    assert any("149 of 200 steps done" in line for line in lines)


def test_the_rest_is_estimated_from_what_was_done() -> None:
    run = a_plan(4)
    tell(run, 2, "step_started", "s0", attempt=1)
    tell(run, 3, "step_completed", "s0", 5.0, seconds=5.0, result="x")
    tell(run, 4, "step_started", "s1", 5.0, attempt=1)
    tell(run, 5, "step_progress", "s1", 9.0, progress=1.0, message="nearly")
    assert any("50 %, about 10 s left: 1 of 4 steps done" in line for line in shown(run))


def test_a_terminal_without_the_marks_gets_others() -> None:
    run = a_plan(1)
    tell(run, 2, "step_started", "s0", attempt=1)
    tell(run, 3, "step_completed", "s0", seconds=1.0, result="x")
    text = "\n".join(shown(run, ascii_only=True))
    assert "+ completed" in text
    assert "✓" not in text


def test_what_agents_say_cannot_command_a_terminal() -> None:
    run = WorkflowWatching("w")
    created = {"task": "T\x1b]0;title\x07", "workflow": "research"}
    run.take(event("workflow:w", 1, "workflow_created", created))
    run.take(event("workflow:w", 2, "agent_spawned", {"agent_id": "a\x1b[2J", "agent_type": "x"}))
    said = {"agent_id": "a\x1b[2J", "content": "hello \x1b[31mred\x9b2J"}
    run.take(event("workflow:w", 3, "agent_output", said))
    asked = {"approval_id": "w.1", "question": "Go\x1b[2J?", "details": {"a": "\x1b[2J"}}
    run.take(event("workflow:w", 4, "approval_requested", asked))
    asking = Asking()
    asking.offer(run.questions())
    text = "\n".join(shown(run, asking))
    assert "hello red" in text
    assert "? Go?" in text
    assert all(character.isprintable() or character == "\n" for character in text)


def test_an_old_end_of_a_plan_is_not_its_end() -> None:
    run = PlanWatching("p", known=4)
    data = {"name": "x", "steps": [{"step_id": "s0"}], "managed": True}
    run.take(event("plan:p", 1, "plan_started", {"step_id": None, "data": data}))
    tell(run, 2, "step_started", "s0", attempt=1)
    tell(run, 3, "plan_failed", "", error="It failed.")
    assert not run.is_over
    tell(run, 4, "plan_command", "s0", command="retry_step", command_id="c1")
    assert not run.is_over
    tell(run, 5, "command_refused", "s0", command_id="c1", command="retry_step", reason="no")
    assert run.is_over


QUESTION = Question("w.1", "Go?", "", "workflow", "w")
OTHER = Question("w.2", "Really?", "", "workflow", "w")


def test_keys_make_an_answer() -> None:
    asking = Asking()
    assert asking.type("y\r") is None  # nothing is asked
    asking.offer([QUESTION])
    assert asking.type("q") is None
    assert asking.type("\x1b[A") is None
    assert asking.type("Y") is None
    assert asking.type("goo\x7fd") is None
    answer = asking.type("!\r and more")
    assert answer is not None
    assert (answer.question, answer.approved, answer.comment) == (QUESTION, True, "god!")
    asking.offer([QUESTION, OTHER])  # the answer is on its way
    assert asking.question == OTHER
    assert asking.type("n\n") == (OTHER, False, None)
    asking.ask_again(QUESTION)
    asking.offer([QUESTION])
    assert asking.question == QUESTION


def test_one_that_somebody_else_has_answered_is_not_asked_any_more() -> None:
    asking = Asking()
    asking.offer([QUESTION])
    asking.type("y and so")
    asking.offer([OTHER])
    assert (asking.question, asking.approved, asking.comment) == (OTHER, None, "")
    asking.offer([])
    assert asking.question is None


def test_events_with_odd_fields_are_lines_all_the_same() -> None:
    for kind, event_type, data in (
        ("plan", "health_update", {"step_id": None, "data": {"memory_mb": "much"}}),
        ("plan", "step_completed", {"step_id": "a", "data": {"quality_score": []}}),
        ("plan", "step_progress", {"step_id": 7, "data": None}),
        ("plan", "of_somebody", {"step_id": None, "data": {"a": 1}}),
        ("workflow", "workflow_complete", {"synthesis": "text", "performance_metrics": 3}),
        ("workflow", "workflow_progress", {"percent": "half"}),
        ("workflow", "of_somebody", {"a": 1}),
    ):
        line = line_of(event(f"{kind}:x", 1, event_type, data), with_stream=False).plain
        assert event_type in line
        assert msgspec.json.encode(line)
