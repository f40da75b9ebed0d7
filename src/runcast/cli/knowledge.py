"""`runcast knowledge`: documents for agents to look things up in, of the log's server or straight in its file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from cyclopts import Parameter

from runcast.cli.access import Where
from runcast.cli.output import clean, complain, console, plural, print_json
from runcast.cli.usage import UsageError

if TYPE_CHECKING:
    from runcast.runners.knowledge import Progress

OnProgress = Callable[["Progress"], None]
SHOWN_LINES = 6
"""Of a passage that was found."""
MAX_RESULTS = 50


class Place(Protocol):
    """What this command does, through a server or on the file. Mappings are as the server's JSON has them."""

    def add(self, paths: tuple[str, ...], on_progress: OnProgress) -> dict[str, Any]:
        """Add files and folders: `added`, `unchanged`, `removed` and `failed`."""
        ...

    def documents(self) -> list[dict[str, Any]]:
        """All documents, by name."""
        ...

    def search(self, query: str, limit: int) -> list[dict[str, Any]]:
        """The passages that fit best."""
        ...

    def remove(self, name: str) -> None:
        """Forget a document; raises `DocumentNotFound`."""
        ...


def knowledge(
    action: Literal["add", "list", "search", "remove"],
    /,
    *words: Annotated[
        str,
        Parameter(help="files and folders to add, what to search for, or the names of documents to remove"),
    ],
    limit: Annotated[int, Parameter(help="passages that a search shows, at most 50")] = 5,
    json: Annotated[bool, Parameter(negative=(), help="answer as JSON")] = False,
    where: Where | None = None,
) -> int:
    """Add documents to the knowledge base, list, search and remove them.

    For example:

        runcast knowledge add docs manual.pdf
        runcast knowledge search how long are events kept
        runcast knowledge list
        runcast knowledge remove manual.pdf

    Markdown, text, HTML and PDF can be added. A folder is added with all of
    them in it. Added again, only what has changed is read, and documents whose
    files are gone are removed (but not from a server that --url names).
    """
    if not 1 <= limit <= MAX_RESULTS:
        raise UsageError(f"--limit: an integer from 1 to {MAX_RESULTS}.")
    if action == "list" and words:
        raise UsageError("list: it takes no words; `runcast knowledge search` looks for something.")
    if action != "list" and not words:
        missing = {"add": "PATH: which files or folders?", "search": "QUERY: what shall be looked for?"}
        raise UsageError(
            missing.get(action, "NAME: which document? `runcast knowledge list` shows their names.")
        )
    with _opened(where) as place:
        match action:
            case "add":
                return _add(place, words, as_json=json)
            case "list":
                _list(place.documents(), as_json=json)
            case "search":
                _search(place.search(" ".join(words), limit), as_json=json)
            case "remove":
                _remove(place, words, as_json=json)
    return 0


@contextmanager
def _opened(where: Where | None) -> Generator[Place]:
    """The server that is named, or else the file."""
    from runcast.cli.knowledge_places import FilePlace, ServerPlace

    client = (where or Where()).client()
    with ServerPlace(client) if client else FilePlace((where or Where()).log) as place:
        yield place


def _add(place: Place, paths: tuple[str, ...], *, as_json: bool) -> int:
    for path in paths:
        if not Path(path).expanduser().exists():
            raise UsageError(f"PATH: there is no file or folder {path}.")
    with _progress() as on_progress:
        report = place.add(paths, on_progress)
    failed = report["failed"]
    if as_json:
        print_json(report)
        return 1 if failed else 0
    for one in failed:
        complain(one["reason"])
    for one in report["added"]:
        if one["note"]:
            complain(f"{one['document']}: {one['note']}")
    _tell(report)
    return 1 if failed else 0


def _tell(report: dict[str, Any]) -> None:
    added = report["added"]
    chunks = sum(one["chunks"] for one in added)
    words = [f"{plural(len(added), 'document')} added" + (f" in {plural(chunks, 'chunk')}" if added else "")]
    for name, what in (("unchanged", "unchanged"), ("removed", "removed"), ("failed", "not added")):
        if report[name]:
            words.append(f"{len(report[name]):,} {what}")
    print(", ".join(words))


def _list(documents: list[dict[str, Any]], *, as_json: bool) -> None:
    from rich.table import Table

    if as_json:
        for document in documents:
            print_json(document)
        return
    if not documents:
        print("There are no documents; `runcast knowledge add PATH` adds some.", file=sys.stderr)
        return
    table = Table("document", "title", "type", "chunks", "bytes", "added", box=None)
    for one in documents:
        table.add_row(
            clean(one["name"]),
            clean(one["title"]),
            one["media_type"].rpartition("/")[2],
            f"{one['chunks']:,}",
            f"{one['bytes']:,}",
            one["added"][:10],
        )
    console().print(table)


def _search(passages: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for passage in passages:
            print_json(passage)
        return
    if not passages:
        print("Nothing in the knowledge base matches.", file=sys.stderr)
    for number, one in enumerate(passages):
        print(
            f"{'' if number == 0 else chr(10)}{one['score']:.2f}  {clean(one['source'])}  {clean(one['heading'])}"
        )
        lines = [clean(line) for line in one["text"].splitlines() if line.strip()]
        for line in lines[:SHOWN_LINES]:
            print(f"      {line}")
        if len(lines) > SHOWN_LINES:
            print("      …")


def _remove(place: Place, names: tuple[str, ...], *, as_json: bool) -> None:
    for name in names:
        place.remove(name)
        if as_json:
            print_json({"document": name, "removed": True})
        else:
            print(f"{clean(name)} is removed.", file=sys.stderr)


@contextmanager
def _progress() -> Generator[OnProgress]:
    """A bar on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}", markup=False),
    )
    with Bar(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, name="")

        def show(progress: Progress) -> None:
            bar.update(task, total=progress.total, completed=progress.done, name=clean(progress.name))

        yield show
