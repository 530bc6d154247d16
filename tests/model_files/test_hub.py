"""Hub ids: a small hub on this machine, and hubs that cannot be reached."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic

import pytest
from huggingface_hub import constants

from z1.errors import UserError
from z1.model_files import display_name, find_model, hub, load_tokenizer
from z1.models import shipped

COMMITS = {"main": "a" * 40, "v2": "b" * 40}
SMALL = {"README.md": b"card", "original/model.safetensors": b"no"}


def files(commit: str) -> dict[str, bytes]:
    own = {path.name: path.read_bytes() for path in shipped().iterdir() if path.is_file()}
    return own | SMALL | ({"revision.json": b'"v2"'} if commit == COMMITS["v2"] else {})


class Hub(BaseHTTPRequestHandler):
    """The hub's routes that a download uses, for one model."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/org/name/tree/"):
            commit = path.split("/")[6]
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": sha1(data).hexdigest()}
                for name, data in files(commit).items()
            ]
            self.answer(json.dumps(entries).encode())
        elif path.startswith("/api/models/org/name"):
            commit = COMMITS.get(path.rpartition("/revision/")[2], COMMITS["main"])
            siblings = [{"rfilename": name} for name in files(commit)]
            self.answer(json.dumps({"id": "org/name", "sha": commit, "siblings": siblings}).encode())
        elif path.startswith("/org/name/resolve/"):
            commit, _, name = path.removeprefix("/org/name/resolve/").partition("/")
            self.answer(files(commit)[name], commit)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def answer(self, data: bytes, commit: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{sha1(data).hexdigest()}"')
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


@contextmanager
def running_hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub._ask_hub.cache_clear()
    yield
    hub._ask_hub.cache_clear()


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hub._ask_hub.cache_clear()
    for module in (constants, "huggingface_hub.hf_api", "huggingface_hub.file_download"):
        target = constants if module is constants else __import__(str(module), fromlist=["constants"]).constants
        monkeypatch.setattr(target, "ENDPOINT", url)
        monkeypatch.setattr(target, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


def test_a_model_is_downloaded_once_and_found_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_hub() as url:
        use(url, monkeypatch)
        load_tokenizer("org/name")
        folder = find_model("org/name")
        assert (folder / "model.safetensors").read_bytes() == (shipped() / "model.safetensors").read_bytes()
        assert not (folder / "original").exists()
        assert not (folder / "revision.json").exists()
        assert (find_model("org/name@v2") / "revision.json").exists()
    use("http://127.0.0.1:9", monkeypatch)
    assert find_model("org/name") == folder
    assert (find_model("org/name@v2") / "revision.json").exists()
    assert display_name("org/name@v2") == "org/name@v2"


def test_a_tokenizer_alone_is_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_hub() as url:
        use(url, monkeypatch)
        assert not list(find_model("org/name", weights=False).glob("*.safetensors"))
    use("http://127.0.0.1:9", monkeypatch)
    assert find_model("org/name", weights=False)
    with pytest.raises(UserError, match="no copy here"):
        find_model("org/name")


def test_an_unknown_model_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_hub() as url:
        use(url, monkeypatch)
        with pytest.raises(UserError, match="no copy here, and the hub did not give one") as caught:
            find_model("org/other")
    assert "\n" not in str(caught.value)


def test_a_hub_that_refuses_connections_is_one_line_at_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    use("http://127.0.0.1:9", monkeypatch)
    started = monotonic()
    with pytest.raises(UserError, match=r"^model org/name: got no copy here") as caught:
        find_model("org/name")
    assert monotonic() - started < 5
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_hub_that_never_answers_is_one_line_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "DEADLINE", 0.5)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        use(f"http://127.0.0.1:{silent.getsockname()[1]}", monkeypatch)
        with pytest.raises(UserError, match="no copy here"):
            find_model("org/name")


@pytest.mark.parametrize("model", ["org/name/more", "smollm2:135m", "a b", "org/name@", "@main"])
def test_what_is_no_hub_id_is_refused(model: str) -> None:
    with pytest.raises(UserError, match="give a model folder, a GGUF file, or a hub id"):
        find_model(model)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["a.safetensors", "b.gguf", "x/c.safetensors", "consolidated.safetensors"], ["a.safetensors"]),
        (["b.gguf", "mmproj-b.gguf"], ["b.gguf"]),
        (["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"], ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"]),
    ],
)
def test_the_weights_of_a_repository(names: list[str], wanted: list[str]) -> None:
    assert hub._weight_files("m", names) == wanted


@pytest.mark.parametrize("names", [["a.gguf", "b.gguf"], ["pytorch_model.bin"], []])
def test_a_repository_without_one_model_is_refused(names: list[str]) -> None:
    with pytest.raises(UserError, match=r"^model m: got"):
        hub._weight_files("m", names)
