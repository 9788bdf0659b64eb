"""What the tests of minigrad.data share: a world of small sets, and a server on this machine."""

import hashlib
import http.server
import os
import threading

import pytest

from minigrad.data import sets
from tests.training.data.small import SETS, SMALL, content, write


class Server(http.server.ThreadingHTTPServer):
    """Serves the folder `root`, but under cut/ half of each body, under stall/ its first byte,
    and under noise/ something that is not HTTP."""

    def __init__(self, root):
        self.root = root
        self.asked: list[str] = []
        self.reached, self.released = threading.Event(), threading.Event()  # for stall/
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, *parts):
        return "/".join((f"http://127.0.0.1:{self.server_port}", *parts))


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.asked.append(self.path)
        mode, _, rest = self.path.lstrip("/").partition("/")
        path = self.server.root / (rest if mode in ("cut", "stall") else self.path.lstrip("/"))
        if mode == "noise":
            self.wfile.write(b"220 mail.example ESMTP\r\n")
            return
        if not path.is_file():
            self.send_error(404)
            return
        body = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if mode == "stall":
            self.wfile.write(body[:1])
            self.server.reached.set()
            self.server.released.wait(60)
            return
        self.wfile.write(body[: len(body) // 2] if mode == "cut" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """Holds both sets, zipped, in a folder of each one's name."""
    root = tmp_path / "served"
    for name in SETS:
        write(root / name, name, zipped=True)
    with Server(root) as it:
        thread = threading.Thread(target=it.serve_forever, args=(0.01,))
        thread.start()
        yield it
        it.released.set()
        it.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache/minigrad"


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """Small sets; no cache yet; nothing installed; no mirror; packages that have no client."""
    for variable in ("MINIGRAD_DATA", "MINIGRAD_MIRROR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", f"127.0.0.1,{os.environ.get('no_proxy', '')}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    digests = {n: tuple(hashlib.sha256(content(n, f)).hexdigest() for f in SMALL) for n in SETS}
    monkeypatch.setattr(sets, "SHAPES", SMALL)
    monkeypatch.setattr(sets, "SHA256", digests)
    monkeypatch.setattr(sets, "PREFIXES", [str(tmp_path / "usr")])
    monkeypatch.setattr(sets, "MIRRORS", {name: () for name in SETS})
    none = sets.Package("no-such-client get", "tar -xzf {archive}", "package/data", "get a client")
    monkeypatch.setattr(sets, "PACKAGES", {name: none for name in SETS})
