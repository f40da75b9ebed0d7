"""A user's own Celery app, with our base class for its tasks."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery

app = Celery(
    "own", broker=os.environ["CELERY_BROKER_URL"], task_cls="runcast.runners.tasks.celery_task:ProgressTask"
)
app.conf.update(
    task_default_queue="own",
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    worker_pool="runcast.runners.tasks.celery_pool:TaskPool",
)


@app.task(bind=True, name="own.steps")
def steps(self: Any, count: int) -> dict[str, int]:
    for number in range(count):
        self.progress(f"step {number}", percent=10 * number + 1, step="counting", tool="counter")
    return {"count": count}


@app.task(bind=True, name="own.flaky", max_retries=2)
def flaky(self: Any, good: int) -> str:
    self.progress("trying", 40)
    if self.request.retries + 1 < good:
        raise self.retry(countdown=0.05, exc=ValueError("a secret of the task's"))
    return "done"


@app.task(bind=True, name="own.dies_once")
def dies_once(self: Any, folder: str) -> str:
    mark = Path(folder, "died")
    self.progress("dying", 30, "dying")
    if not mark.exists():
        mark.touch()
        time.sleep(0.2)  # what it told is to be stored
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


@app.task(bind=True, name="own.sleeps", soft_time_limit=0.3, max_retries=0)
def sleeps(self: Any) -> None:
    self.progress("sleeping", 20, "sleeping")
    time.sleep(30)


@app.task(bind=True, name="own.hangs", time_limit=1)
def hangs(self: Any) -> None:
    self.progress("hanging", 25, "hanging")
    while True:
        try:
            time.sleep(30)
        except Exception:
            continue


@app.task(bind=True, name="own.waits")
def waits(self: Any, folder: str) -> str:
    """Waits for a file, and asks whether to go on."""
    self.progress("waiting", 50, "waiting", pid=os.getpid())
    while not Path(folder, "go").exists():
        self.check()
        time.sleep(0.01)
    return "gone on"


@app.task(bind=True, name="own.stubborn")
def stubborn(self: Any, folder: str) -> None:
    """Asks nobody."""
    self.progress("working", 50, "working", pid=os.getpid())
    while not Path(folder, "go").exists():
        time.sleep(0.01)


@app.task(bind=True, name="own.calls")
def calls(self: Any) -> dict[str, int]:
    """Calls another one as a plain function, which tells nothing."""
    self.progress("calling", 10, "calling")
    plain: Any = steps
    return plain(2)
