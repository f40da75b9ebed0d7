"""How the page's files are served."""

import re
from collections.abc import Iterator

import pytest
from tests.support.server import ThreadServer

PAGES = ["/", "/workflows", "/plans", "/tasks", "/chat"]


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadServer]:
    with ThreadServer() as server:
        yield server


def script_address(server: ThreadServer) -> str:
    found = re.search(r'src="(/static/[^"]+/main\.js)"', server.http.get("/").text)
    assert found
    return found[1]


def test_the_page_and_its_policy(server: ThreadServer) -> None:
    answer = server.http.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"]
    for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
        assert part in policy.split("; ")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_page_needs_nothing_from_elsewhere(server: ThreadServer) -> None:
    page = server.http.get("/").text
    assert not re.search(r"<style|style=|<script(?![^>]*src=)|\son\w+=", page)
    assert not re.findall(r'(?:src|href)="(?!/|#)', page)


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("js/main.js", "text/javascript; charset=utf-8"),
        ("js/views/feed.js", "text/javascript; charset=utf-8"),
        ("css/base.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_files_have_their_types(server: ThreadServer, path: str, media_type: str) -> None:
    answer = server.http.get(f"/static/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["cache-control"] == "no-cache"
    assert "content-security-policy" in answer.headers


def test_files_of_this_release_are_kept_for_ever(server: ThreadServer) -> None:
    answer = server.http.get(script_address(server))
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("told", ["{etag}", "W/{etag}", '"other", {etag}', "*"])
def test_what_has_not_changed_is_not_sent_again(server: ThreadServer, told: str) -> None:
    etag = server.http.get("/").headers["etag"]
    answer = server.http.get("/", headers={"If-None-Match": told.format(etag=etag)})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == etag


def test_another_etag_gets_the_file(server: ThreadServer) -> None:
    assert server.http.get("/", headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_has_the_length_and_no_body(server: ThreadServer) -> None:
    answer = server.http.head("/")
    assert answer.status_code == 200
    assert answer.content == b""
    assert int(answer.headers["content-length"]) == len(server.http.get("/").content)


@pytest.mark.parametrize(
    "path",
    [
        "../app.py",
        "..%2fapp.py",
        "%2e%2e/app.py",
        "js/../../app.py",
        "js/..%2f..%2fconfig.py",
        "/etc/passwd",
        "js",
        "",
        "0123456789ab/js/main.js",
        "js/main.js%00",
        "js\\main.js",
    ],
)
def test_nothing_else_is_served(server: ThreadServer, path: str) -> None:
    answer = server.http.get(f"/static/{path}")
    assert answer.status_code == 404
    assert b"import" not in answer.content


def test_all_that_the_page_names_is_there(server: ThreadServer) -> None:
    named = re.findall(r'(?:src|href)="(/static/[^"]+)"', server.http.get("/").text)
    assert len([one for one in named if one.endswith(".js")]) > 20
    for address in named:
        assert server.http.get(address).status_code == 200, address


@pytest.mark.parametrize("path", PAGES)
def test_every_page_leads_to_the_others_and_says_which_it_is(server: ThreadServer, path: str) -> None:
    page = server.http.get(path).text
    links = re.findall(
        r'<a href="([^"]+)"( aria-current="page")?>(Sessions|Workflows|Plans|Tasks|Chat)</a>', page
    )
    assert [(address, bool(current)) for address, current, _ in links] == [
        (address, address == path) for address in PAGES
    ]
    assert "{{" not in page
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        assert server.http.get(address).status_code == 200, address


def test_a_page_asks_early_for_its_own_modules_only(server: ThreadServer) -> None:
    def modules(path: str) -> set[str]:
        found = re.findall(r'modulepreload" href="/static/[0-9a-f]+/js/([^"]+)"', server.http.get(path).text)
        return set(found)

    assert {"main.js", "views/feed.js", "connection.js"} <= modules("/")
    assert {"workflows/main.js", "runs/page.js", "connection.js"} <= modules("/workflows")
    assert not [one for one in modules("/") if one.startswith(("workflows/", "plans/", "runs/"))]
    assert not [one for one in modules("/workflows") if one.startswith("plans/")]
    assert "main.js" not in modules("/plans")


def test_what_is_looked_at_has_an_address_of_its_own(server: ThreadServer) -> None:
    assert server.http.get("/plans/plan_1").content == server.http.get("/plans").content
    assert server.http.head("/workflows/wf_1").status_code == 200
    assert server.http.get("/plans/plan_1/more").status_code == 404
    assert server.http.get("/static/runs.html").status_code == 404
