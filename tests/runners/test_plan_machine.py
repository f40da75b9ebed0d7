"""Random commands, outcomes, restarts and passing time, against a simple model of what a plan's runner may do.

No step runs before what it depends on is done; never two attempts of a step at once; a completed step never runs
again unless somebody said so; a paused plan starts nothing; the fold of the stream is the runner's state; and a plan
can always be brought to an end.
"""

from __future__ import annotations

import os
from itertools import count
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runcast.core.event import MICROSECONDS, Event
from runcast.errors import InvalidInput
from runcast.kinds.base import Publish, accept
from runcast.kinds.plan import PLAN
from runcast.kinds.plan_commands import COMMANDS, Answer, check, read_command
from runcast.kinds.plan_definition import parse_plan
from runcast.kinds.plan_fold import PLAN_STATE
from runcast.kinds.plan_graph import find_cycle
from runcast.kinds.plan_state import Command, PlanState
from runcast.runners.plans.schedule import (
    STUCK_AFTER_S,
    Attempt,
    Decision,
    Failed,
    Returned,
    decide,
    ended,
)

STREAM = "plan:machine"
NAMES = ("a", "b", "c", "d", "e", "f")
names = st.sampled_from((*NAMES, "nowhere"))
gates = st.none() | st.fixed_dictionaries(
    {"min_score": st.sampled_from([0.0, 0.5, 1.0]), "on_fail": st.sampled_from(["retry", "review", "fail"])}
)


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """Plans without circles: a step depends on earlier ones."""
    steps = []
    for index, name in enumerate(NAMES[: draw(st.integers(2, len(NAMES) - 1))]):
        needed = draw(st.frozensets(st.sampled_from(NAMES[:index]), max_size=2)) if index else ()
        steps.append(
            {
                "step_id": name,
                "depends_on": sorted(needed),
                "max_attempts": draw(st.integers(1, 3)),
                "backoff_s": draw(st.sampled_from([0, 1, 40])),
                "quality_gate": draw(gates),
            }
        )
    return {"steps": steps, "parallel_steps": draw(st.integers(1, 3))}


class PlanMachine(RuleBasedStateMachine):
    """A runner without threads: the attempts at work are a dict, and time is a number."""

    @initialize(plan=plans())
    def begin(self, plan: dict[str, Any]) -> None:
        self.now_us = 10**15
        self.numbers = count(1)
        self.stream: list[Event] = []
        self.state = PlanState()
        self.at_work: dict[str, Attempt] = {}
        self.parallel = plan["parallel_steps"]
        # the model: what may be, as somebody would keep it on paper
        self.done: set[str] = set()
        self.needs = {step["step_id"]: set(step["depends_on"]) for step in plan["steps"]}
        self.attempts: dict[str, int] = {}
        self.tell([Answer("plan_started", None, {"managed": True, **plan})])

    # The runner

    def tell(self, answers: list[Answer]) -> None:
        """Publish, and take it in."""
        for answer in answers:
            publish = Publish(
                stream=STREAM, type=answer.type, data={"step_id": answer.step_id, "data": answer.data}
            )
            new = accept(PLAN, publish, self.now_us, 256 * 1024)
            seq = len(self.stream) + 1
            event = Event(STREAM, "e", seq, seq, f"e{seq}", new.type, new.time, new.data)
            self.stream.append(event)
            PLAN_STATE.step(self.state, event)
            self.note(answer)

    def note(self, answer: Answer) -> None:
        """Write on paper what was told."""
        step = answer.step_id or ""
        match answer.type:
            case "step_completed" | "step_skipped":
                self.done.add(step)
            case "step_retrying":
                self.done.discard(step)
            case "step_added":
                self.needs[step] = set(answer.data["step"].get("depends_on", ()))
            case "step_removed":
                del self.needs[step]
            case "dependencies_changed":
                self.needs[step] = set(answer.data["depends_on"])
            case _:
                pass

    def decide(self) -> Decision:
        return decide(self.state, self.now_us, self.at_work, 4)

    def act(self) -> Decision:
        """Do what is to be done now, until there is nothing more."""
        for _ in range(200):
            self.reconcile()
            decision = self.decide()
            if decision.tell:
                self.tell(decision.tell)
            elif decision.start:
                for step_id in decision.start:
                    self.start(step_id)
            else:
                return decision
        raise AssertionError("it never comes to rest")

    def reconcile(self) -> None:
        for step_id, attempt in self.at_work.items():
            step = self.state.steps.get(step_id)
            counts = step is not None and step.status == "running" and step.attempt == attempt.number
            if attempt.over_since is None and (self.state.is_over or not counts):
                self.at_work[step_id] = Attempt(attempt.number, self.now_us)

    def start(self, step_id: str) -> None:
        assert step_id not in self.at_work, "two attempts at once"
        assert self.needs[step_id] <= self.done, "before its dependencies are done"
        assert step_id not in self.done, "again, and nobody said so"
        assert self.state.status == "running", "in a plan that does not run"
        number = self.state.steps[step_id].attempt + 1
        assert number == self.attempts.get(step_id, 0) + 1
        self.attempts[step_id] = number
        self.at_work[step_id] = Attempt(number)
        self.tell([Answer("step_started", step_id, {"attempt": number, "name": step_id})])
        running = [attempt for attempt in self.at_work.values() if attempt.over_since is None]
        assert len(running) <= self.parallel

    # What happens

    @rule()
    def run(self) -> None:
        self.act()

    @precondition(lambda self: self.at_work)
    @rule(
        data=st.data(),
        outcome=st.sampled_from([None, 0.0, 0.6, 1.0]),
        fails=st.booleans(),
        helps=st.booleans(),
    )
    def end_attempt(self, data: st.DataObject, outcome: float | None, fails: bool, helps: bool) -> None:
        step_id = data.draw(st.sampled_from(sorted(self.at_work)))
        attempt = self.at_work[step_id]
        result = Failed("it fails", helps) if fails else Returned({"x": 1}, outcome)
        if attempt.over_since is None:
            self.tell(ended(self.state, step_id, attempt.number, result, 0.5))
        del self.at_work[step_id]
        self.act()

    @precondition(lambda self: self.at_work)
    @rule(data=st.data())
    def time_out(self, data: st.DataObject) -> None:
        """The attempt is over, and goes on all the same."""
        step_id = data.draw(st.sampled_from(sorted(self.at_work)))
        attempt = self.at_work[step_id]
        if attempt.over_since is None:
            self.at_work[step_id] = Attempt(attempt.number, self.now_us)
            self.tell(ended(self.state, step_id, attempt.number, Failed("too long"), 0.5))
        self.act()

    @rule()
    def crash(self) -> None:
        """Another process goes on with what is stored, by the snapshot of a moment and the events after it."""
        self.at_work.clear()
        middle = len(self.stream) // 2
        half = PlanState()
        for event in self.stream[:middle]:
            PLAN_STATE.step(half, event)
        self.state = PLAN_STATE.load(PLAN_STATE.dump(half))
        for event in self.stream[middle:]:
            PLAN_STATE.step(self.state, event)

    @rule(seconds=st.sampled_from([0.1, 1.0, 45.0, STUCK_AFTER_S + 1]))
    def pass_time(self, seconds: float) -> None:
        self.now_us += round(seconds * MICROSECONDS)
        self.act()

    @rule(
        command=st.sampled_from(sorted(COMMANDS)),
        step_id=names,
        several=st.lists(names, max_size=3),
        approved=st.booleans(),
    )
    def give_command(self, command: str, step_id: str, several: list[str], approved: bool) -> None:
        """Any command at all; most make no sense."""
        if command != "cancel" or next(self.numbers) % 8 == 0:  # not that often: it is the end
            self.command(command, step_id, several, approved=approved)

    @rule(
        data=st.data(),
        several=st.lists(st.sampled_from(NAMES), max_size=2),
        approved=st.booleans(),
        at_once=st.booleans(),
    )
    def give_sensible_command(
        self, data: st.DataObject, several: list[str], approved: bool, at_once: bool
    ) -> None:
        sensible = [
            (name, step)
            for name in sorted(COMMANDS - {"cancel"})
            for step in NAMES
            if self.reason_against(name, step, several) is None
        ]
        if sensible:
            name, step = data.draw(st.sampled_from(sensible))
            self.command(name, step, several, approved=approved)
            if at_once:
                self.act()

    def reason_against(self, name: str, step_id: str, several: list[str]) -> str | None:
        try:
            return check(self.state, self.read(name, step_id, several)[1])
        except InvalidInput as error:
            return str(error)

    def read(
        self, name: str, step_id: str, several: list[str] | None = None, *, approved: bool = True
    ) -> tuple[dict[str, Any], Command]:
        data: dict[str, Any] = {"command": name, "command_id": f"c{next(self.numbers)}", "by": "somebody"}
        data |= {"gate": step_id, "approved": approved, "depends_on": several, "order": several}
        data["step"] = {"step_id": step_id, "depends_on": several or [], "backoff_s": 0}
        return data, read_command(step_id, data)

    def command(
        self, name: str, step_id: str, several: list[str] | None = None, *, approved: bool = True
    ) -> None:
        try:
            data, command = self.read(name, step_id, several, approved=approved)
        except InvalidInput:
            return
        before = msgspec.json.encode(self.state)
        refused = check(self.state, command)
        assert msgspec.json.encode(self.state) == before, "a check changes nothing"
        said = len(self.stream)
        alone = not self.state.pending
        self.tell([Answer("plan_command", command.step_id, data)])
        if alone and next(self.numbers) % 2:  # else it stays for later
            self.reconcile()
            self.tell(self.decide().tell)
            self.reconcile()
            told = [event.type for event in self.stream[said + 1 :]]
            assert ("command_refused" in told) == (refused is not None)
            assert all(command.command_id in event.data.decode() for event in self.stream[said + 1 :])

    @rule(event_type=st.sampled_from(["step_started", "step_completed", "step_failed", "plan_started"]))
    def publish_nonsense(self, event_type: str) -> None:
        """Somebody else tells of a step that is not there, or of a start of what runs."""
        before = self.state.status
        if self.state.is_over and event_type == "plan_started":
            return  # that begins another run, in a stream of its own
        self.tell([Answer(event_type, "elsewhere", {"progress": 0.5})])
        if before == "running":
            assert self.state.status == before

    # What must hold

    @invariant()
    def the_fold_is_the_state(self) -> None:
        if hasattr(self, "state"):
            folded = PlanState()
            for event in self.stream:
                PLAN_STATE.step(folded, event)
            assert folded == self.state

    @invariant()
    def the_graph_can_always_be_walked(self) -> None:
        if hasattr(self, "state"):
            graph = self.state.graph()
            assert find_cycle(graph) == []
            assert all(name in graph for needed in graph.values() for name in needed)
            assert {name: set(needed) for name, needed in graph.items()} == self.needs

    @invariant()
    def the_budget_of_attempts_is_kept(self) -> None:
        for step in self.state.steps.values() if hasattr(self, "state") else ():
            assert step.tries <= step.definition.max_attempts

    @invariant()
    def nothing_is_at_work_that_counts_for_nothing(self) -> None:
        if hasattr(self, "state") and not self.state.pending:
            counting = {name for name, attempt in self.at_work.items() if attempt.over_since is None}
            assert counting <= set(self.state.in_status("running"))

    @invariant()
    def nobody_waits_who_could_be_asleep(self) -> None:
        """A parked plan is one that only a command brings further."""
        if not hasattr(self, "state"):
            return
        decision = self.decide()
        if decision.parked:
            assert not decision.tell
            assert not decision.start
            assert not self.state.in_status("running")
            later = decide(self.state, self.now_us + 10**12, self.at_work, 4)
            assert (later.tell, later.start) == ([], [])

    def teardown(self) -> None:
        """From wherever it is, a plan comes to an end: with people who say yes, and attempts that succeed."""
        if not hasattr(self, "state"):
            return
        for _ in range(300):
            decision = self.act()
            if self.state.is_over:
                break
            for step_id, attempt in list(self.at_work.items()):
                del self.at_work[step_id]
                if attempt.over_since is None:
                    self.tell(ended(self.state, step_id, attempt.number, Returned("fine", 1.0), 0.1))
            for step_id in self.state.in_status("review"):
                self.command("review", step_id)
            if self.state.status == "paused":
                self.command("resume", "a")
            self.now_us = max(self.now_us, decision.wake_at or 0) + 1
        assert self.state.is_over, self.state.status
        assert self.act() == Decision([], [])


TestPlanMachine = PlanMachine.TestCase
TestPlanMachine.settings = settings(
    max_examples=int(os.environ.get("MACHINE_EXAMPLES", "60")),
    stateful_step_count=40,
    deadline=None,
    report_multiple_bugs=False,
)


def test_the_plans_that_are_drawn_can_be_read() -> None:
    assert parse_plan({"steps": [{"step_id": name} for name in NAMES]}).steps
