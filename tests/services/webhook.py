"""A real HTTP server on loopback that keeps what is posted to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """What was posted, and where to."""

    url: str = ""
    posted: list[dict[str, Any]] = field(default_factory=list)

    def subjects(self) -> list[str]:
        return [str(one.get("subject")) for one in self.posted]

    def body_of(self, subject: str) -> str | None:
        """Return the text of the first alarm with a subject."""
        return next((one["body"] for one in self.posted if one.get("subject") == subject), None)


@contextmanager
def listening() -> Iterator[Webhook]:
    """Listen as long as the block lasts."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            hook.posted.append(json.loads(self.rfile.read(length)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_address[1]}/alarms/secret-token"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield hook
        finally:
            server.shutdown()
