"""The built-in responder: a LangGraph graph that finds the right agent, looks things up, and lets a model answer.

The one place that imports langgraph, when it is first needed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import cache
from typing import Any, Final, TypedDict

from runcast.errors import ModelError
from runcast.runners.chat.agents import (
    AGENTS,
    LEAST_SURE,
    SPECS,
    Agent,
    Choice,
    ask_for_choice,
    classify,
    confidence_of,
    read_choice,
    system_message,
    with_passages,
)
from runcast.runners.chat.failure import MissingExtra
from runcast.runners.chat.responder import Metadata, Piece, Progress, Question
from runcast.runners.extractive import NAME as EXTRACTIVE
from runcast.runners.model import Delta, Usage

logger = logging.getLogger("runcast.chat")

PASSAGES: Final = 5
LEAST_SCORE: Final = 0.15
"""A passage that has less of the question than that says nothing about it."""
CHOICE_TOKENS: Final = 16
CHOICE_S: Final = 3.0
"""So long is waited for a model's opinion whom a question is for."""

Tell = Callable[[Piece], None]


class _Asked(TypedDict):
    """What the graph is given."""

    question: Question


class _State(_Asked, total=False):
    """What the nodes of the graph hand on."""

    choice: Choice


class _Found(TypedDict, total=False):
    """What a node adds."""

    choice: Choice


async def orchestrate(question: Question) -> AsyncIterator[Piece]:
    """Answer a question; see `responder`. Progress is told when the work begins, tokens as they come from the model.

    Raises:
        MissingExtra: langgraph is not installed.
        ModelError, KnowledgeError: the model or the knowledge base failed.
    """
    graph = await _graph()
    stream = graph.astream({"question": question}, stream_mode="custom")
    async with aclosing(stream):
        async for piece in stream:
            yield piece


def prepare() -> None:
    """Import what it takes, so that the first answer need not wait for it. For any thread; idempotent.

    Raises:
        MissingExtra: langgraph is not installed.
    """
    _compile()


async def _graph() -> Any:
    if _compile.cache_info().currsize:
        return _compile()
    return await asyncio.to_thread(_compile)  # importing it takes a while


@cache
def _compile() -> Any:
    """The graph: classify, then one of the agents."""
    try:
        # it takes a second, and may not be there
        from langgraph.graph import END, START, StateGraph  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise MissingExtra from None
    builder: Any = StateGraph(_State)
    builder.add_node("classify", _classify)
    builder.add_edge(START, "classify")
    for agent in AGENTS:
        builder.add_node(agent.name, _node_of(agent))
        builder.add_edge(agent.name, END)
    names = {agent.name: agent.name for agent in AGENTS}
    builder.add_conditional_edges("classify", _route, names)
    return builder.compile()


def _teller() -> Tell:
    from langgraph.config import get_stream_writer  # noqa: PLC0415 - as above

    return get_stream_writer()


def _route(state: _State) -> str:
    return state.get("choice", Choice(SPECS, 0.0)).agent.name


async def _classify(state: _State) -> _Found:
    """Find out whom the question is for: by its words, or, where they do not say, by the model."""
    tell, question = _teller(), state["question"]
    tell(Progress("agent_routing", "Routing to appropriate agent..."))
    choice = classify(question.text, question.history)
    if choice.confidence < LEAST_SURE and question.model.name != EXTRACTIVE:
        choice = await _ask_model(question, choice)
    more: dict[str, object] = {"routing_confidence": choice.confidence}
    tell(Metadata(agent=choice.agent.name, more=more))
    return {"choice": choice}


async def _ask_model(question: Question, guess: Choice) -> Choice:
    """The model's opinion; the guess stands if it has none, or none in time."""
    answer = ""
    try:
        async with asyncio.timeout(CHOICE_S):
            async for item in question.model.stream(ask_for_choice(question.text), max_tokens=CHOICE_TOKENS):
                answer += item.text if isinstance(item, Delta) else ""
    except (TimeoutError, ModelError) as error:
        logger.info("the model was not asked whom a question is for: %s", error or "it took too long")
        return guess
    agent = read_choice(answer)
    return Choice(agent, 0.9) if agent else guess


def _node_of(agent: Agent) -> Callable[[_State], Awaitable[_Found]]:
    async def node(state: _State) -> _Found:
        tell = _teller()
        async with aclosing(_answer(agent, state)) as pieces:
            async for piece in pieces:
                tell(piece)
        return {}

    return node


async def _answer(agent: Agent, state: _State) -> AsyncGenerator[Piece]:
    """Retrieve, then generate."""
    question, choice = state["question"], state.get("choice", Choice(agent, 0.0))
    yield Progress("rag_retrieval", "Searching knowledge base...", agent.name)
    found = await question.search(question.text, PASSAGES)
    passages = [passage for passage in found if passage.score >= LEAST_SCORE]
    sources = list(dict.fromkeys(passage.source for passage in passages))
    model = question.model
    yield Metadata(confidence=confidence_of(choice, passages), sources=sources, model=model.name)
    by = "from the passages, without a language model" if model.name == EXTRACTIVE else f"with {model.name}"
    yield Progress("generating", f"Generating response ({agent.name} agent, {by})...", agent.name)
    messages = question.messages(system_message(agent), with_passages(question.text, passages))
    stream = model.stream(messages)
    try:
        async for item in stream:
            if isinstance(item, Usage):
                yield _cost(item)
            elif item.text:
                yield item.text
    finally:
        close: Any = getattr(stream, "aclose", None)
        if close is not None:
            await close()


def _cost(usage: Usage) -> Metadata:
    counted: dict[str, object] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "estimated": usage.estimated,
    }
    more: dict[str, object] = {"usage": counted}
    if usage.truncated:
        more["truncated"] = True
    return Metadata(model=usage.model, more=more)
