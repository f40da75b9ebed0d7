"""Tasks of a user's own, for tests of who runs them. They tell by files beside the log how often they began."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from runcast.runners.tasks.context import TaskContext
from runcast.runners.tasks.failure import TaskError
from runcast.runners.tasks.registry import task


@task("steps")
def steps(ctx: TaskContext) -> dict[str, Any]:
    print("what a task prints harms nothing")
    for number in range(ctx.params.get("count", 3)):
        ctx.publish(f"step {number}", 10 * number + 1, f"step_{number}", tool="counter")
    return {"count": ctx.params.get("count", 3), "attempt": ctx.attempt}


@task("flaky", backoff_s=0.05)
def flaky(ctx: TaskContext) -> str:
    """Fails until its attempt is the one it was told."""
    ctx.publish("trying", 40)
    if ctx.attempt < ctx.params["good"]:
        raise ValueError("a secret of the task's")
    return "done"


@task("refuses")
def refuses(ctx: TaskContext) -> None:
    del ctx
    raise TaskError("There is no such account.")


@task("waits", backoff_s=0.05)
def waits(ctx: TaskContext) -> dict[str, Any]:
    """Says who it is, and waits for a file; the first attempt for another one than all others."""
    ctx.publish("waiting", 50, "waiting", pid=os.getpid(), parent=os.getppid())
    name = "never" if ctx.attempt == 1 else "go"
    deadline_s = time.monotonic() + 60
    while not Path(ctx.params["folder"], name).exists():
        ctx.check()
        if time.monotonic() > deadline_s:
            raise TimeoutError
        time.sleep(0.01)
    return {"attempt": ctx.attempt}


@task("dies", max_attempts=2)
def dies(ctx: TaskContext) -> None:
    """Kills its own process."""
    ctx.publish("dying", 30, "dying")
    time.sleep(0.05)  # what it told is to be stored
    os.kill(os.getpid(), signal.SIGKILL)


@task("leaves", max_attempts=1)
def leaves(ctx: TaskContext) -> None:
    del ctx
    sys.exit(3)


@task("unwritable", max_attempts=1)
def unwritable(ctx: TaskContext) -> object:
    del ctx
    return {"result": {1, 2}, "other": object()}


@task("ends_itself", max_attempts=1)
def ends_itself(ctx: TaskContext) -> None:
    ctx.publish("done", 100, "completed")


@task("stubborn")
def stubborn(ctx: TaskContext) -> None:
    """Asks nobody whether to go on, and tells a lot once it may; ends by itself after a while."""
    ctx.publish("at work", 50, "working", pid=os.getpid())
    deadline_s = time.monotonic() + 60
    while not Path(ctx.params["folder"], "go").exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    Path(ctx.params["folder"], "woke").touch()
    try:
        ctx.publish("too late", 90, "late")
    except BaseException:
        Path(ctx.params["folder"], "stopped").touch()
        raise


@task("tidy")
def tidy(ctx: TaskContext) -> None:
    """Puts things away when it is ended."""
    ctx.publish("at work", 50, "working", pid=os.getpid())
    try:
        while True:
            ctx.check()
            time.sleep(0.01)
    except Exception:
        Path(ctx.params["folder"], "swallowed").touch()
    finally:
        Path(ctx.params["folder"], "tidied").touch()


@task("hopeless", backoff_s=200.0)
def hopeless(ctx: TaskContext) -> None:
    raise ValueError(ctx.attempt)


@task("beyond")
def beyond(ctx: TaskContext) -> None:
    """Tells a percent that cannot be, after one that can."""
    ctx.publish("half", 50)
    ctx.publish("more than all", float(ctx.params["percent"]))


@task("speaks_for_others")
def speaks_for_others(ctx: TaskContext) -> None:
    """Uses a word of who runs it."""
    ctx.publish("reading", 5, ctx.params["step"])


@task("echoes", max_attempts=1)
def echoes(ctx: TaskContext) -> dict[str, Any]:
    return dict(ctx.params)


@task("goes_on", max_attempts=2, backoff_s=0.05)
def goes_on(ctx: TaskContext) -> None:
    """Tells something all the time, until it is not to."""
    ctx.publish("at work", 50, "working")
    try:
        while True:
            ctx.publish("still at work", 60)
            time.sleep(0.02)
    finally:
        Path(ctx.params["folder"], "stopped").touch()
