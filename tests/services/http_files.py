"""A real HTTP server on loopback that serves a folder, counts what it is asked, and can misbehave.

It knows ranges, entity tags, conditional requests and passwords, and writes a listing of the folder
as web servers do. Troubles are queued: each is used up by one request for a file.
"""

import base64
import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

BLOCK = 16_384
LOGIN_PAGE = b"<!DOCTYPE html><html><form><input name=u><input type=password></form></html>"


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with one request for a file.

    Parameters
    ----------
    status
        Answer with this status, and no file.
    cut_after, stall_after, drip_after
        Close the connection, fall silent, or send a byte now and then, after that many bytes.
    then
        Called when the connection was cut, before the next request is answered.
    announce
        Added to the true length in Content-Length.
    endless
        Send without end and without a length.
    unmeasured
        Send the file in chunks, without its length.
    login
        Redirect to a login page.
    disguised
        Send the login page in place of the file, as if it were data.
    headers
        Further headers.
    """

    status: int = 0
    cut_after: int | None = None
    stall_after: int | None = None
    drip_after: int | None = None
    then: Callable[[], object] | None = None
    announce: int = 0
    endless: bool = False
    unmeasured: bool = False
    login: bool = False
    disguised: bool = False
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    headers: dict[str, str]


@dataclass
class HttpFiles:
    """The server, as a test sees it.

    Parameters
    ----------
    folder
        What it serves.
    url
        Its address, with a slash at the end.
    troubles
        What goes wrong with the next requests for files, in this order.
    always
        What goes wrong with all others.
    asked
        Requests, pages included.
    bytes_sent
        Bytes of files that were sent.
    ranges, etags, weak, dates
        Whether it knows ranges and entity tags (weak ones), and tells dates of change.
    minds_conditions
        Whether a range is sent only if ``If-Range`` holds.
    password
        ``user:password`` or ``Bearer ...`` that is asked for; None for nothing.
    query
        Put behind every link in the listing, and demanded for files.
    page
        Sent in place of the listing.
    elsewhere
        Address of another server that all requests are redirected to.
    """

    folder: Path
    url: str = ""
    troubles: deque[Trouble] = field(default_factory=deque)
    always: Trouble | None = None
    asked: list[Asked] = field(default_factory=list)
    bytes_sent: int = 0
    ranges: bool = True
    etags: bool = True
    weak: bool = False
    dates: bool = True
    minds_conditions: bool = True
    password: str | None = None
    query: str = ""
    page: bytes | None = None
    elsewhere: str = ""
    stopped: threading.Event = field(default_factory=threading.Event)
    stuck: threading.Event = field(default_factory=threading.Event)

    def etag(self, name: str) -> str:
        """Return the entity tag of a file."""
        digest = hashlib.sha256((self.folder / name).read_bytes()).hexdigest()[:20]
        return f'W/"{digest}"' if self.weak else f'"{digest}"'

    def asked_for(self, name: str) -> list[Asked]:
        """Return the requests for a file."""
        return [request for request in self.asked if urlsplit(request.path).path == f"/{name}"]


@contextmanager
def serving(folder: Path) -> Iterator[HttpFiles]:
    """Serve a folder as long as the block lasts."""
    files = HttpFiles(folder)

    class Handler(_Handler):
        state = files

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        files.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield files
        finally:
            files.stopped.set()
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: HttpFiles

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        state = self.state
        state.asked.append(Asked(self.path, dict(self.headers)))
        path = unquote(urlsplit(self.path).path)
        file = state.folder / path.lstrip("/")
        with suppress(ConnectionError):
            if path == "/login":
                self._send(200, LOGIN_PAGE, {"Content-Type": "text/html; charset=utf-8"})
            elif not self._is_welcome():
                self._send(401, b"who are you?")
            elif path.endswith("/"):
                self._send_page(file)
            elif not file.is_file():
                self._send(404, b"")
            else:
                self._send_file(file)

    # --- answers ------------------------------------------------------------------------------

    def _is_welcome(self) -> bool:
        wanted, given = self.state.password, self.headers.get("Authorization", "")
        if wanted is None:
            return True
        if not wanted.startswith("Bearer "):
            wanted = f"Basic {base64.b64encode(wanted.encode()).decode()}"
        return given == wanted

    def _send_page(self, folder: Path) -> None:
        state = self.state
        trouble = state.troubles.popleft() if state.troubles and state.troubles[0].status else None
        if trouble is not None or state.elsewhere:
            moved = {"Location": state.elsewhere} if trouble is None else {}
            self._send(trouble.status if trouble else 302, b"", moved)
            return
        names = sorted(item.name + "/" * item.is_dir() for item in folder.iterdir())
        links = "".join(f'<a href="{name}{state.query}">{name}</a>\n' for name in names)
        sorting = '<a href="?C=M;O=A">Last modified</a> <a href="/">Parent</a>'
        page = state.page or f"<html><h1>Index of /</h1>{sorting}\n{links}</html>".encode()
        self._send(200, page, {"Content-Type": "text/html"})

    def _send_file(self, file: Path) -> None:
        state = self.state
        trouble = state.troubles.popleft() if state.troubles else state.always or Trouble()
        target = f"{state.elsewhere}{file.name}" if state.elsewhere else ""
        if trouble.login:
            target = f"{state.url}login?secret=hush"
        if target:
            self._send(302, b"", {"Location": target})
        elif state.query and f"?{urlsplit(self.path).query}" != state.query:
            self._send(403, b"")
        elif trouble.status:
            self._send(trouble.status, b"", dict(trouble.headers))
        elif trouble.disguised:
            self._send(200, LOGIN_PAGE, {"Content-Type": "application/octet-stream"})
        elif trouble.endless:
            self._send_chunks(None)
        elif trouble.unmeasured:
            self._send_chunks(file.read_bytes())
        else:
            self._send_content(file, trouble)

    def _send_content(self, file: Path, trouble: Trouble) -> None:
        state, content = self.state, file.read_bytes()
        headers = {"Content-Type": "application/x-netcdf"} | dict(trouble.headers)
        if state.etags:
            headers["ETag"] = state.etag(file.name)
        if state.dates:
            headers["Last-Modified"] = self.date_time_string(int(file.stat().st_mtime))
        if self._has_not_changed(headers):
            self._send(304, b"", headers)
            return
        first = self._first(headers)
        if first and first >= len(content):
            self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        self.send_response(206 if first else 200)
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        headers["Content-Length"] = str(len(content) - first + trouble.announce)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if trouble.announce:
            self.close_connection = True
            content = content[: len(content) + min(trouble.announce, 0)]
        self._send_bytes(content[first:], trouble)

    def _has_not_changed(self, headers: dict[str, str]) -> bool:
        if "If-None-Match" in self.headers:
            return self.headers["If-None-Match"] == headers.get("ETag")
        since = self.headers.get("If-Modified-Since")
        return since is not None and since == headers.get("Last-Modified")

    def _first(self, headers: dict[str, str]) -> int:
        wanted = self.headers.get("Range", "")
        if not wanted or not self.state.ranges:
            return 0
        condition = self.headers.get("If-Range", "")
        strong = headers.get("ETag", "") if not self.state.weak else ""
        holds = condition and condition in (strong, headers.get("Last-Modified"))
        if self.state.minds_conditions and not holds:
            return 0
        return int(wanted.removeprefix("bytes=").rstrip("-"))

    def _send_bytes(self, content: bytes, trouble: Trouble) -> None:
        limits = (trouble.cut_after, trouble.stall_after, trouble.drip_after)
        end = next((limit for limit in limits if limit is not None), len(content))
        for start in range(0, end, BLOCK):
            block = content[start : min(start + BLOCK, end)]
            self.wfile.write(block)
            self.state.bytes_sent += len(block)
        self.wfile.flush()
        if end >= len(content):
            return
        self.close_connection = True
        if trouble.then is not None:
            trouble.then()
        if trouble.stall_after is not None:
            self.state.stuck.set()
            self.state.stopped.wait()
        while trouble.drip_after is not None and not self.state.stopped.wait(0.02):
            self.wfile.write(content[end : end + 1])
            end += 1

    def _send_chunks(self, content: bytes | None) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        block = bytes(BLOCK)
        while content is None and not self.state.stopped.is_set():
            self.wfile.write(b"%x\r\n%s\r\n" % (BLOCK, block))
            self.state.bytes_sent += BLOCK
        if content:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
            self.state.bytes_sent += len(content)
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
