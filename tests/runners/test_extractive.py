"""The built-in model: sentences as they stand, with their sources, and an honest word when there are none."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from runcast.runners.extractive import GROUP_WORDS, ExtractiveModel
from runcast.runners.knowledge import KnowledgeBase, Passage
from runcast.runners.knowledge.markdown import plain
from runcast.runners.material import Excerpt, read_messages, write_passage, write_passages, write_sources
from runcast.runners.model import Delta, Message, Usage
from runcast.runners.sentences import best_sentences, sentences_of, stem

CAR = b"""# Aurora

## Battery

The battery holds 82 kWh, which is enough for 480 km. It charges from 10 to 80 % in 24 minutes at a **fast charger**.
Keep the car dry. The [battery](b.md) has a warranty of eight years, e.g. against defects.

## Tyres

| where | pressure |
| --- | --- |
| front tyres | 2.6 bar |

- Inflate the tyres to 2.6 bar when they are cold
- Check the pressure of all tyres every month.
"""


@pytest.fixture
def base() -> Iterator[KnowledgeBase]:
    with KnowledgeBase(None) as base:
        base.add(CAR, "car.md")
        yield base


async def ask(base: KnowledgeBase, *messages: str | Message, max_tokens: int | None = None) -> str:
    given = [Message("user", one) if isinstance(one, str) else one for one in messages]
    items = [item async for item in ExtractiveModel(base).stream(given, max_tokens=max_tokens)]
    *deltas, usage = items
    text = "".join(delta.text for delta in deltas if isinstance(delta, Delta))
    assert isinstance(usage, Usage)
    assert (usage.model, usage.estimated) == ("extractive", True)
    assert usage.output_tokens == -(-len(text) // 4)
    assert all(isinstance(delta, Delta) and 0 < len(delta.text.split()) <= GROUP_WORDS for delta in deltas)
    return text


async def test_it_answers_with_sentences_and_where_they_are_from(base: KnowledgeBase) -> None:
    assert (await ask(base, "How long does the battery take to charge?")).startswith(
        "The battery holds 82 kWh, which is enough for 480 km. It charges from 10 to 80 % in 24 minutes at a fast charger."
    )
    assert (await ask(base, "warranty?")).endswith(
        "The battery has a warranty of eight years, e.g. against defects. [car.md, Battery]"
    )
    assert "Keep the car dry" not in await ask(base, "How long does the battery take to charge?")


async def test_tables_and_lists_are_read_as_sentences(base: KnowledgeBase) -> None:
    answer = await ask(base, "Which pressure for the tyres?")
    assert "front tyres – 2.6 bar" in answer
    assert "Check the pressure of all tyres every month." in answer
    assert "|" not in answer
    assert "bar. Check" in answer, "a row gets an end"
    assert "Inflate the tyres to 2.6 bar when they are cold" in await ask(base, "Inflate when cold?")


async def test_what_is_not_there_it_says(base: KnowledgeBase) -> None:
    assert (await ask(base, "Who won the chess championship?")).startswith(
        "Nothing in the knowledge base matches “Who won the chess championship?”."
    )
    assert "the knowledge base is empty" in await ask(KnowledgeBase(None), "What about tyres?")
    assert await ask(base, "") == "No question was asked."
    assert await ask(base, Message("system", "Answer.")) == "No question was asked."


async def test_passages_in_the_message_are_what_it_answers_from(base: KnowledgeBase) -> None:
    brought = write_passage(
        "manual.pdf, page 3", "The tyres are made of rubber. Bring them to a shop. They are black."
    )
    answer = await ask(base, f"Task: What are the tyres made of?\n\n{brought}\n\nBe brief about the tyres.")
    assert answer == "The tyres are made of rubber. [manual.pdf, page 3]"


async def test_who_brings_passages_is_answered_from_these_or_not_at_all(base: KnowledgeBase) -> None:
    brought = write_passage("other.md", "Bread is made from flour and water.")
    assert await ask(base, f"Task: Which pressure?\n\n{brought}") == (
        "Nothing in the given sources matches “Which pressure?”."
    )
    assert (await ask(base, f"Task: Which pressure?\n\n{write_sources('')}")).startswith(
        "Nothing in the knowledge"
    )
    assert "[car.md, Tyres]" in await ask(base, "Task: Which pressure?")


async def test_what_it_is_told_to_do_is_no_finding(base: KnowledgeBase) -> None:
    told = "Name claims about the tyres pressure that nothing supports."
    found = write_passage("research_001", "Something else is said about these tyres.")
    answer = await ask(base, f"Task: tyres pressure\n\nFindings and analysis:\n\n{found}\n\n{told}")
    assert answer == "Something else is said about these tyres. [research_001]"


async def test_code_stays_as_it_is_however_often_it_is_quoted(base: KnowledgeBase) -> None:
    code = "```sh\nserve --read '*' --write '*'\n\nserve --lock\n```"
    text = f"Serve it so that others read `a:*` and write `b:*` there.\n\n{code}"
    once = await ask(base, f"Task: serve lock read write\n\n{write_passage('a.md', text)}")
    assert once == (
        "Serve it so that others read `a:*` and write `b:*` there.\n"
        "```sh\nserve --read '*' --write '*'\nserve --lock\n```\n[a.md]"
    )
    assert await ask(base, f"Task: serve lock read write\n\n{write_passage('agent', once)}") == once


def test_the_head_of_a_table_is_no_sentence() -> None:
    text = "| the place of it | the pressure in it |\n| --- | ---: |\n| the front tyres | 2.6 bar |"
    assert list(sentences_of(text)) == ["the front tyres – 2.6 bar"]


async def test_what_agents_have_found_keeps_its_sources(base: KnowledgeBase) -> None:
    first, second = await ask(base, "battery warranty"), await ask(base, "tyres pressure")
    nothing = await ask(base, "chess championship tyres of the moon landing by astronauts")
    answer = await ask(
        base,
        f"Task: the warranty of the battery, and the tyres pressure\n\nFindings:\n\nresearch_001:\n{first}\n\n"
        f"research_002:\n{second}\n\nresearch_003:\n{nothing}\n\nName what is wrong with the tyres pressure in this.",
    )
    assert "[car.md, Battery]" in answer
    assert "[car.md, Tyres]" in answer
    assert "Nothing" not in answer
    assert "Name what" not in answer
    assert "research_00" not in answer


async def test_a_limit_is_kept(base: KnowledgeBase) -> None:
    answer = await ask(base, "tyres battery pressure charge warranty", max_tokens=25)
    assert 0 < len(answer.partition(" [")[0]) <= 100


async def test_the_same_question_has_the_same_answer_in_every_process(base: KnowledgeBase) -> None:
    script = (
        "import asyncio\n"
        "from tests.runners.test_extractive import CAR, ask\n"
        "from runcast.runners.knowledge import KnowledgeBase\n"
        "base = KnowledgeBase(None); base.add(CAR, 'car.md')\n"
        "print(asyncio.run(ask(base, 'battery charge tyres pressure warranty')))"
    )
    here = await ask(base, "battery charge tyres pressure warranty")
    for seed in ("1", "2"):
        run = [sys.executable, "-c", script]
        told = subprocess.run(run, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        assert told.stdout.rstrip("\n") == here


# --- what is asked, and what is brought ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("What is it?", "What is it?"),
        ("What is\nit?\n\nBe brief.", "What is it?"),
        ("You are an agent.\n\nTask: find it\nall\n\nBe brief.", "find it all"),
        ("## Question\nWhy?\n\n## Instructions\nShort.", "Why?"),
        (f"{write_passage('a', 'Text.')}\n\nquestion: Why?", "Why?"),
        (write_passage("a", "Question: no"), ""),
    ],
)
def test_the_question(text: str, question: str) -> None:
    assert read_messages([Message("user", text)]).question == question


def test_the_last_question_counts_and_all_passages_do() -> None:
    given = read_messages(
        [
            Message("user", "First?\n\n" + write_passage("a", "A.")),
            Message("assistant", "I said."),
            Message("user", "[b]\nB.\n\n## c\n\nC.\n\n## Rules\n\nNone."),
            Message("user", "Second?"),
        ]
    )
    assert given.question == "Second?"
    assert given.excerpts == [Excerpt("A.", "a"), Excerpt("B.", "b"), Excerpt("C.", "c")]


def test_a_passage_is_found_again_whatever_is_in_it() -> None:
    text = 'He said "</passage>" and <passage source="x">.'
    (found,) = read_messages([Message("user", write_passage('a "b"\n<c>', text))]).excerpts
    assert found.source == 'a "b" <c>'
    assert found.text == text.replace("</passage", "< /passage")
    passage = Passage(text="T.", source="d.md", heading="d.md", number=1, score=1.0)
    assert write_passages([passage, passage]).count('<passage source="d.md">') == 2


# --- sentences -------------------------------------------------------------------------------------


def test_sentences() -> None:
    text = "Dr. A. Smith came at 3.5 p.m. to see it. He left (early!) again. “Why is that so?” Nobody ever knew it…"
    assert list(sentences_of(text)) == [
        "Dr. A. Smith came at 3.5 p.m. to see it.",
        "He left (early!) again.",
        "“Why is that so?”",
        "Nobody ever knew it…",
    ]
    assert list(sentences_of("# Heading of a text\n\nToo short.\n\n> Quoted words stay here.")) == [
        "Quoted words stay here."
    ]
    assert list(sentences_of("```sh\nrun it. Now\n```\nAfter it comes text.")) == [
        "```sh\nrun it. Now\n```",
        "After it comes text.",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Battery", "batteries"),
        ("charge", "charging"),
        ("charged", "CHARGES"),
        ("café", "cafes"),
        ("agree", "agreement"),
    ],
)
def test_words_that_are_the_same(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_what_says_the_same_is_said_once_and_everything_is_answered() -> None:
    excerpts = [
        Excerpt(
            "The red apple is sweet and very large. The red apple is sweet and large. Pears are green.", "a"
        ),
        Excerpt("A red apple falls far from it. Pears of this kind are yellow.", "b"),
    ]
    quotes = best_sentences("red apple pears", excerpts, max_sentences=2)
    texts = " ".join(quote.text for quote in quotes)
    assert texts.count("sweet") <= 1
    assert "Pears" in texts
    assert best_sentences("submarine", excerpts) == []
    assert best_sentences("", excerpts) == []
    assert best_sentences("apple", []) == []


# --- hostile texts ---------------------------------------------------------------------------------

HOSTILE = (
    *(
        "`",
        "``a",
        "[",
        "[](",
        '![a](b "',
        "__a ",
        "**a ",
        "*a ",
        "<a ",
        "\\",
        "<passage>",
        '<passage source="',
    ),
    *(" ", "\n ", "```a\n", "~~~\n", "| ", "|a", "A. ", "e.g. ", "# ", "- a\n", "task: \n", "a:\n", "[a] "),
)


@pytest.mark.parametrize("pattern", HOSTILE)
def test_a_hostile_text_takes_time_by_its_length_only(pattern: str) -> None:
    """100 KB of what made each of the expressions here look from everywhere to the end: minutes, if one still does."""
    text = (pattern * (100_000 // len(pattern) + 1))[:100_000]
    for whole in (text, f"# {text}x", f"{text}]"):
        for work in (
            plain,
            lambda one: list(sentences_of(one)),
            lambda one: read_messages([Message("user", one)]),
        ):
            began_s = time.thread_time()
            work(whole)
            assert time.thread_time() - began_s < 1
