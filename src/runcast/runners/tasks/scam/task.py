"""The reference task, step by step as the document tells them: what is looked at, and how far it is."""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

from runcast.errors import InvalidInput, KnowledgeError, ModelError
from runcast.runners.extractive import NAME as EXTRACTIVE
from runcast.runners.material import write_passage
from runcast.runners.tasks.context import TaskContext
from runcast.runners.tasks.scam import domains, phones, search
from runcast.runners.tasks.scam.database import Report, ScamDatabase
from runcast.runners.tasks.scam.domains import Finding
from runcast.runners.tasks.scam.entities import Entities, extract, has_phonenumbers
from runcast.runners.tasks.scam.verdict import Verdict, as_evidence, signs_in, to_builtins, weigh

logger = logging.getLogger("runcast.tasks")

SCAM_ANALYSIS: Final = "scam_analysis"
MAX_TEXT_CHARS: Final = 50_000
MAX_SEARCHES: Final = 5
MAX_TOKENS: Final = 400
MAX_SHOWN_CHARS: Final = 4_000
_SYSTEM: Final = (
    "You explain to a person, in at most four sentences, whether a message they got is likely to be a scam, "
    "from the evidence given and nothing else. Say what to do."
)


def check(params: dict[str, Any]) -> None:
    """Refuse parameters that cannot be; raises `InvalidInput` naming the field."""
    text, region = params.get("text"), params.get("region")
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT_CHARS:
        raise InvalidInput(f"text: a text of 1 to {MAX_TEXT_CHARS:,} characters is expected.", field="text")
    if region is not None and not (isinstance(region, str) and len(region) == 2 and region.isalpha()):
        raise InvalidInput("region: a country's two letters, such as US.", field="region")
    unknown = sorted(params.keys() - {"text", "region"})
    if unknown:
        raise InvalidInput(f"{unknown[0][:60]}: unknown; known are text and region.", field=unknown[0][:60])


def analyse(ctx: TaskContext) -> dict[str, Any]:
    """Look `params["text"]` through; returns the verdict, its findings, what was looked at, and an explanation."""
    text = ctx.params["text"]
    entities = _extract(ctx, text)
    findings = [
        *signs_in(text),
        *_look_up(ctx, entities),
        *_validate_phones(ctx, entities),
        *_search(ctx, entities),
        *_judge_domains(ctx, entities),
    ]
    verdict = weigh(findings)
    explanation, model = _reason(ctx, text, verdict)
    return {
        "message": "Analysis complete!",
        **to_builtins(verdict),
        "explanation": explanation,
        "model": model,
        "entities": msgspec.to_builtins(entities),
    }


def _extract(ctx: TaskContext, text: str) -> Entities:
    ctx.publish("Extracting entities from text...", 10, "entity_extraction")
    entities = extract(text, (ctx.params.get("region") or "US").upper())
    found = f"{len(entities.phones)} phone numbers, {len(entities.urls)} URLs, {len(entities.emails)} e-mail addresses"
    ctx.publish(f"Found {found}", 20, "entity_extraction")
    ctx.publish("Running tools for what was found...", 30, "tool_execution")
    return entities


def _look_up(ctx: TaskContext, entities: Entities) -> list[Finding]:
    ctx.publish("Checking scam database...", 35, "scam_db", "scam_database")
    database = _database(ctx)
    wanted = [
        *(("phone", phone.number) for phone in entities.phones),
        *(("domain", domain) for domain in entities.domains),
        *(("url", url) for url in entities.urls),
        *(("email", email) for email in entities.emails),
    ]
    reports = [report for kind, value in wanted if (report := database.find(kind, value))]
    ctx.publish(f"{len(reports)} of {len(wanted)} are known scams", 40, "scam_db", "scam_database")
    return [_finding_of(report) for report in reports]


def _finding_of(report: Report) -> Finding:
    times = "once" if report.reports == 1 else f"{report.reports} times"
    return Finding(report.value, f"reported {times} as {report.category}", 90)


def _validate_phones(ctx: TaskContext, entities: Entities) -> list[Finding]:
    if not has_phonenumbers():
        message = "Phone numbers are not validated here: pip install 'runcast[tasks]'"
        ctx.publish(message, 50, "phone_validator", "phone_validator")
        return []
    findings = [finding for phone in entities.phones for finding in phones.judge(phone)]
    valid = sum(phone.is_valid is True for phone in entities.phones)
    message = f"{valid} of {len(entities.phones)} phone numbers are valid"
    ctx.publish(message, 50, "phone_validator", "phone_validator")
    return findings


def _search(ctx: TaskContext, entities: Entities) -> list[Finding]:
    ask = search.provider()
    if ask is None:
        ctx.publish("No web search is configured; this step is left out", 55, "exa_search", "exa_search")
        return []
    findings: list[Finding] = []
    wanted = [*(phone.number for phone in entities.phones), *entities.domains][:MAX_SEARCHES]
    ctx.publish(f"Searching the web for {len(wanted)} of them...", 52, "exa_search", "exa_search")
    for value in wanted:
        try:
            hits = ask(value)
        except Exception:  # somebody else's code: it costs this step, not the task
            logger.exception("the web search failed")
            ctx.publish("The web search failed; going on without it", 55, "exa_search", "exa_search")
            return findings
        reports = [hit for hit in hits if hit.is_report]
        if reports:
            findings.append(
                Finding(value, f"{len(reports)} reports on the web, such as {reports[0].url}", 60)
            )
    ctx.publish(f"{len(findings)} of them are reported on the web", 55, "exa_search", "exa_search")
    return findings


def _judge_domains(ctx: TaskContext, entities: Entities) -> list[Finding]:
    database = _database(ctx)
    findings = [
        finding for domain in entities.domains for finding in domains.judge(domain, database.age_days(domain))
    ]
    suspicious = len({finding.about for finding in findings})
    message = f"{suspicious} of {len(entities.domains)} domains look suspicious"
    ctx.publish(message, 60, "domain_reputation", "domain_reputation")
    return findings


def _reason(ctx: TaskContext, text: str, verdict: Verdict) -> tuple[str, str | None]:
    """What a model makes of it. Without an answer the findings stand for themselves: the verdict needs no model."""
    ctx.publish("Analyzing the evidence...", 80, "reasoning")
    evidence = as_evidence(verdict)
    prompt = "\n\n".join(
        [
            f"Question: is this message a scam? By the rules it is: {verdict.verdict}, {verdict.score} of 100.",
            write_passage("evidence", evidence),
            write_passage("message", text[:MAX_SHOWN_CHARS]),
        ]
    )
    try:
        answer = ctx.llm(prompt, system=_SYSTEM, max_tokens=MAX_TOKENS)
    except (ModelError, KnowledgeError) as error:
        ctx.publish(f"The language model has not answered: {error}", 90, "reasoning")
        return evidence, None
    ctx.publish("The evidence is weighed", 90, "reasoning", model=answer.model)
    # The built-in model quotes; there is nothing better to quote than the evidence.
    text = "" if answer.model == EXTRACTIVE else answer.text.strip()
    return text or evidence, answer.model


def _database(ctx: TaskContext) -> ScamDatabase:
    return ScamDatabase.of(ctx.settings, ctx.settings.log)
