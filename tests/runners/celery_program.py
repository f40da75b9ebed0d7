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
    task_default_queue="own", broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1
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
