"""A way to a server that can be cut, held up, or made to answer 503: a relay on loopback.

Bytes pass as they are, so that signed requests stay valid. What goes wrong is decided for each
piece that a client sends; a request begins a piece.
"""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PIECE = 65_536
UNAVAILABLE = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


@dataclass
class FaultyNetwork:
    """The relay, as a test sees it.

    Parameters
    ----------
    target
        Host and port of the server.
    url
        What clients are given in its place.
    cut
        Whether every connection is closed and none is made.
    unavailable
        Whether requests are answered with 503.
    n_refused
        Requests and connections that something was done to.
    held
        Set while a request is held up.
    """

    target: tuple[str, int]
    url: str = ""
    cut: bool = False
    unavailable: bool = False
    n_refused: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    _hold: re.Pattern[bytes] | None = None
    _go_on: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def holding(self, request: str) -> Iterator[None]:
        """Hold up requests whose first line matches, as long as the block lasts."""
        self.held.clear()
        self._go_on.clear()
        self._hold = re.compile(request.encode())
        try:
            yield
        finally:
            self._hold = None
            self._go_on.set()

    def pass_on(self, piece: bytes, client: socket.socket) -> bool:
        """Return whether a piece from a client goes on to the server."""
        if self.cut:
            self.n_refused += 1
            return False
        if self.unavailable:
            self.n_refused += 1
            client.sendall(UNAVAILABLE)
            return False
        hold, line = self._hold, piece.partition(b"\r\n")[0]
        if hold is not None and hold.search(line):
            self.n_refused += 1
            self.held.set()
            self._go_on.wait()
        return True


@contextmanager
def faulty_network(server_url: str) -> Iterator[FaultyNetwork]:
    """Relay to a server as long as the block lasts."""
    parts = urlsplit(server_url)
    network = FaultyNetwork((parts.hostname or "127.0.0.1", parts.port or 80))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        network.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        threading.Thread(target=_accept, args=(listening, network), daemon=True).start()
        try:
            yield network
        finally:
            network.cut = True
            network._go_on.set()


def _accept(listening: socket.socket, network: FaultyNetwork) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            if network.cut:
                network.n_refused += 1
                client.close()
                continue
            threading.Thread(target=_relay, args=(client, network), daemon=True).start()


def _relay(client: socket.socket, network: FaultyNetwork) -> None:
    with client, suppress(OSError), socket.create_connection(network.target) as server:
        back = threading.Thread(target=_back, args=(server, client, network), daemon=True)
        back.start()
        while piece := client.recv(PIECE):
            if not network.pass_on(piece, client):
                break
            server.sendall(piece)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        back.join()


def _back(server: socket.socket, client: socket.socket, network: FaultyNetwork) -> None:
    with suppress(OSError):
        while piece := server.recv(PIECE):
            if network.cut:
                break
            client.sendall(piece)
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
