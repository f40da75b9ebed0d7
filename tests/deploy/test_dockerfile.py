"""The Dockerfile, without Docker: its steps are run here, as far as they are not about the image's system."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from tests.deploy.dockerfile import read_dockerfile
from tests.deploy.proxy import DEPLOY
from tests.support.process import ServeProcess, clean_env, free_port, run_runcast

from runcast.config import Settings, env_names

ROOT = DEPLOY.parent
BUILD, RUN = read_dockerfile((DEPLOY / "Dockerfile").read_text())
IGNORED = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
OF_SYSTEM = ("pip install", "groupadd", "install --directory")
UID = 10_001


def test_it_is_built_in_two_stages_of_one_python() -> None:
    assert BUILD.name == "build"
    assert BUILD.image == RUN.image
    assert RUN.all("COPY") == ["--from=build /opt/runcast /opt/runcast"]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = [line[1:] for line in IGNORED if line.startswith("!")]
    assert IGNORED[1] == "*"
    sources = [name for rest in BUILD.all("COPY") for name in rest.split()[:-1]]
    assert sorted(sources) == sorted(kept)
    assert all((ROOT / name).exists() for name in sources)
    assert fnmatch("src/runcast/__pycache__", IGNORED[-1])


def test_it_runs_as_nobody_in_particular() -> None:
    made = " ".join(RUN.all("RUN"))
    assert RUN.one("USER") == "runcast"
    assert f"--uid {UID}" in made
    assert "--mode=0700 /var/lib/runcast" in made
    assert RUN.one("VOLUME") == RUN.one("WORKDIR") == RUN.environment["HOME"] == "/var/lib/runcast"
    assert Path(RUN.environment["XDG_DATA_HOME"]) / "runcast" == Path(RUN.one("VOLUME"))
    words = [step.word for step in RUN.steps]
    assert words.index("USER") > max(place for place, word in enumerate(words) if word in {"RUN", "COPY"})


def test_its_variables_are_settings() -> None:
    known = {name for field in Settings.__struct_fields__ for name in env_names(field)}
    ours = {name for name in RUN.environment if name.startswith("RUNCAST_")}
    assert ours
    assert ours <= known
    assert RUN.environment["RUNCAST_PORT"] == RUN.one("EXPOSE")


def test_extras_are_those_that_there_are() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = re.findall(r"--extra (\w+)", " ".join(BUILD.all("RUN")))
    assert sorted(wanted) == sorted(set(project["optional-dependencies"]) - {"dev"})


class Image:
    """What the build stage makes, in a folder here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "opt" / "runcast" / "bin"
        self.home = folder / "var" / "lib" / "runcast"

    def here(self, text: str) -> str:
        for path in ("/opt/runcast", "/var/lib"):
            text = text.replace(path, f"{self.folder}{path}")
        return text

    def build(self) -> None:
        work = self.folder / "build"
        work.mkdir()
        uv = Path(sys.executable).parent
        # The test's own Python in the place of the image's.
        env = {**clean_env(), "PATH": f"{uv}{os.pathsep}{os.environ['PATH']}", "UV_PYTHON": sys.executable}
        for step in BUILD.steps:
            if step.word == "COPY":
                self._copy(*step.rest.split(), work=work)
            elif step.word == "RUN" and not step.rest.startswith(OF_SYSTEM):
                command = self.here(step.rest).replace("--no-cache ", "").replace("--compile-bytecode ", "")
                if "uv venv" in command:
                    env.pop("UV_PYTHON")
                    command += f" --python {sys.executable}"
                done = subprocess.run(
                    ["sh", "-ec", command],
                    cwd=work,
                    env=env,
                    capture_output=True,
                    text=True,
                    timeout=200,
                    check=False,
                )
                assert done.returncode == 0, f"{command}\n{done.stderr}"

    def _copy(self, *names: str, work: Path) -> None:
        *sources, to = names
        for name in sources:
            source, target = ROOT / name, work / to if to != "./" else work / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)

    def environment(self, **more: str) -> dict[str, str]:
        own = {name: self.here(value) for name, value in RUN.environment.items()}
        own["PATH"] = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return {**own, **more}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    # Not below pytest's folders: another user is to enter.
    folder = Path(tempfile.mkdtemp(prefix="runcast-image-"))
    folder.chmod(0o755)
    try:
        image = Image(folder)
        image.build()
        image.home.mkdir(parents=True, mode=0o700)
        if os.geteuid() == 0:
            os.chown(image.home, UID, UID)
        yield image
    finally:
        shutil.rmtree(folder)


class Container(ServeProcess):
    """The image's command as its user, in its folder."""

    def __init__(self, image: Image, **env: str) -> None:
        port = free_port()
        user = [
            "setpriv",
            f"--reuid={UID}",
            f"--regid={UID}",
            "--clear-groups",
            "--no-new-privs",
            "--inh-caps=-all",
        ]
        command = [str(image.bin / "runcast"), "serve"]
        if os.geteuid() == 0:
            command = [*user, "--", *command]
        super().__init__("", port=port, command=command)
        # Of the test's own environment nothing.
        self.env = image.environment(RUNCAST_PORT=str(port), RUNCAST_HOST="127.0.0.1", **env)


@pytest.mark.timeout(240)
def test_its_steps_make_a_server_that_its_user_runs(image: Image) -> None:
    with Container(image, RUNCAST_API_KEYS="a-key-of-the-test") as server:
        with_key = {"Authorization": "Bearer a-key-of-the-test"}
        event = {"event_type": "message"}
        assert server.http.post("/api/sessions/a/events", json=event, headers=with_key).status_code == 200
        assert server.http.get("/api/sessions/a").status_code == 401
        assert (image.home / "log.db").is_file()
        if os.geteuid() == 0:
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            assert re.search(rf"Uid:\t{UID}\t{UID}", status)
            assert re.search(r"NoNewPrivs:\t1", status)
        assert is_healthy(image, server) == 0
        assert server.terminate(signal.Signals[RUN.one("STOPSIGNAL")]) == 0
        assert server.complaints == ""
    assert is_healthy(image, server) != 0


def test_it_does_not_start_where_everybody_could_do_everything() -> None:
    ours = {name: value for name, value in RUN.environment.items() if name.startswith("RUNCAST_")}
    done = run_runcast("serve", env=ours)
    assert done.returncode == 1
    assert "RUNCAST_LOCKED=true" in done.stderr


@pytest.mark.timeout(240)
def test_it_has_what_the_extras_bring(image: Image) -> None:
    names = [
        "beautifulsoup4",
        "celery",
        "langgraph",
        "openai",
        "opentelemetry-proto",
        "phonenumbers",
        "pypdf",
        "redis",
    ]
    program = f"from importlib.metadata import version; print(*map(version, {names}))"
    done = subprocess.run(
        [image.bin / "python", "-c", program], check=True, timeout=60, capture_output=True, text=True
    )
    lock = (ROOT / "requirements.lock").read_text()
    assert all(f"{name}=={version}" in lock for name, version in zip(names, done.stdout.split(), strict=True))
    assert not (image.bin / "pytest").exists()


def is_healthy(image: Image, server: ServeProcess) -> int:
    env = image.environment(RUNCAST_PORT=str(server.port))
    program, *arguments = RUN.healthcheck
    command = [str(image.bin / program), *arguments]
    return subprocess.run(command, env=env, timeout=20, check=False, capture_output=True).returncode
