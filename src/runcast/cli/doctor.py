"""`runcast doctor`: whether everything is well, and what to do where it is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from runcast.cli.doctor_findings import Finding, State
from runcast.cli.output import clean, console, print_json
from runcast.cli.usage import check_options

_STYLES = {State.OK: "green", State.WARN: "bold yellow", State.FAIL: "bold red"}


def doctor(
    *,
    json: Annotated[bool, Parameter(negative=(), help="all findings as one JSON object")] = False,
    log: Annotated[str | None, Parameter(help="the log to look at [default: the configured one]")] = None,
    port: Annotated[int | None, Parameter(help="the port to look at [default: the configured one]")] = None,
) -> int:
    """Look whether everything is well, and say what to do.

    For example:

        runcast doctor
        runcast doctor --json --log ./agent.db

    Each line is ok, warn or fail. The exit code is 1 if one of them is fail.
    """
    check_options(port=port)
    findings = list(_findings(log, port))
    failed = any(finding.state is State.FAIL for finding in findings)
    if json:
        print_json({"ok": not failed, "findings": findings})
    else:
        out = console()
        for finding in findings:
            out.print(_line(finding), soft_wrap=True)
    return 1 if failed else 0


def _findings(log: str | None, port: int | None) -> Iterator[Finding]:
    from runcast.cli import doctor_log, doctor_system

    yield from doctor_system.look_at_versions()
    settings, findings = doctor_system.look_at_settings(os.environ, log, port)
    yield from findings
    yield from doctor_log.look_at_log(settings)
    yield from doctor_system.look_at_door(settings)
    yield from doctor_system.look_at_port(settings)
    yield from doctor_system.look_at_fast_path()
    yield from doctor_log.look_at_spool(settings)
    yield from doctor_system.look_at_claude_code(settings)


def _line(finding: Finding) -> Text:
    line = Text()
    line.append(f"{finding.state.value:<5}", _STYLES[finding.state])
    line.append(f"{finding.name:<13}", "bold")
    line.append(clean(finding.says))
    if finding.advice:
        line.append(f"\n{'':18}{clean(finding.advice)}", "dim")
    return line
