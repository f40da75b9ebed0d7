"""Running background tasks: on Celery's workers, or in processes of our own.

`service` begins tasks and sees each to its end, attempt by attempt (`supervision`). An attempt is made by whatever
process is handed the task (`attempt`), under a lease of its own (`work_lease`): by Celery (`celery_app`), by a process
of ours (`processes`, `child`), or by a thread where the log is in memory. All state is the task's stream.
"""
