"""A workflow of one's own: several reviewers read a text at once, a person decides, and the comments become one answer.

Run it from the folder of this file:

    runcast workflow run "$(cat draft.md)" --workflow review --load review
"""

from __future__ import annotations

from functools import partial

import runcast
from runcast.runners.workflows.context import Agent, AgentContext, AgentResult

VIEWS = {
    "clarity": "Which sentences are hard to understand, and why?",
    "evidence": "Which claims have no support in the sources?",
    "brevity": "What can be left out without losing anything?",
}


@runcast.workflow("review")
def review(ctx: runcast.Context) -> str:
    """Review the text that is this workflow's task."""
    reviewers = [Agent(view, partial(read, question=question)) for view, question in VIEWS.items()]
    comments = ctx.parallel(reviewers)
    ctx.progress(60, "All reviewers are done.")

    findings = "\n\n".join(f"{comment.agent_type}: {comment.content}" for comment in comments)
    answer = ctx.approve(
        "Shall the comments be summed up?",
        {"reviewers": len(comments), "characters": len(findings)},
    )
    if not answer:
        return f"The review ended without a summary. {answer.comment or ''}".strip()

    wish = f"\n\nThe editor adds: {answer.comment}" if answer.comment else ""
    return ctx.llm(f"Sum up these comments on a text in a few sentences:\n\n{findings}{wish}")


def read(agent: AgentContext, question: str) -> AgentResult:
    """One reviewer: what the sources say, then its own look at the text."""
    sources = agent.search(agent.task, limit=3)
    quoted = "\n".join(f"[{passage.source}] {passage.text}" for passage in sources)
    comment = agent.llm(f"{question}\n\nText:\n{agent.task}\n\nSources:\n{quoted or 'none'}")
    return AgentResult(comment, confidence=0.9 if sources else 0.4)
