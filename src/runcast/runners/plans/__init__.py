"""Running plans: a graph of steps with retries, quality gates, reviews and commands, durable through restarts.

- `service.py`: `Plans`, what the rest of a program uses.
- `runner.py`, `run.py`: what the host of runners runs; one plan at a time, under its claim.
- `schedule.py`: what is to be done next: pure, over the fold in `runcast.kinds.plan_fold`.
- `account.py`: that fold, kept at the head of the stream while the plan runs.
- `attempt.py`, `context.py`, `doing.py`: one attempt at a step, in its thread.
- `registry.py`, `research.py`: the actions there are, and the built-in one.
- `shared.py`, `figures.py`: what all runs of a process share; what is told of health and metrics.
"""
