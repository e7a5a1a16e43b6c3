"""Sound and hostile bodies whose way onto the wire is hostile, and answers asked for in forms that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from hostile.body import ARROW, CSV, JSON, PARQUET, HostileBody, Steps
from hostile.json_tables import CELLS
from hostile.shapes import compact, names, split

_GOOD = split([[5.1, 3.5, 1.4, 0.2]])
_ROWS = split([[5.1, 3.5, 1.4, 0.2]] * 10_000)
_PIECES = 1000


def framings() -> Iterator[HostileBody]:
    for name, (steps, body, answered) in _FRAMINGS.items():
        yield HostileBody("framing", name, JSON, partial(bytes, body), steps=steps, answered=answered)


def accepts() -> Iterator[HostileBody]:
    """Hostile shapes whose answers are asked for as tables."""
    for name, (make, model) in _SHAPES.items():
        for media in (CSV, ARROW, PARQUET):
            yield HostileBody("accept", f"{name} as {media}", JSON, make, model, {"Accept": media})
    for name, header in _HEADERS.items():
        yield HostileBody("accept", name, JSON, partial(bytes, _GOOD), "iris", {"Accept": header})


_SHAPES: dict[str, tuple[Callable[[], bytes], str]] = {
    "100k rows": (lambda: split([[1, 2, 3, 4]] * 100_000), "iris"),
    "rows of 2,000 texts": (lambda: split([["x" * 100] * 2000] * 10), "echo"),
    "100k columns": (lambda: split([[1] * 100_000], columns=names(100_000)), "echo"),
    "columns of one name": (lambda: split([[1] * 1000], columns=["c"] * 1000), "echo"),
    "mixed types": (lambda: split([[1], ["a"], [None], [[1, 2]], [{"a": 1}]] * 10_000), "echo"),
    "own keys": (lambda: compact({"dataframe_records": [{f"a{i}": 1} for i in range(CELLS // 8)]}), "echo"),
    "half characters": (lambda: b'{"dataframe_split":{"columns":["a"],"data":[["\\ud83d"],["b"]]}}', "echo"),
    "integers beyond 64 bits": (lambda: split([[2**70], [-(2**70)]] * 10_000), "echo"),
    "a formula": (lambda: split([["=cmd()\n\"',"]] * 10_000), "echo"),
    "ragged lists": (lambda: split([[[1] * (i % 9)] for i in range(20_000)]), "echo"),
    "no rows": (lambda: split([], columns=["a"]), "echo"),
    "a tensor": (lambda: compact({"inputs": [[1, 2, 3]] * 100_000}), "tensor"),
}

_HEADERS = {
    "10k media types": ", ".join(f"a/b{i}" for i in range(5000)),
    "a media type of 50 kB": "text/" + "x" * 50_000,
    "weights of a thousand digits": "text/csv;q=0." + "9" * 1000,
    "commas": "," * 50_000,
}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _in_pieces(data: bytes, count: int = _PIECES) -> Steps:
    """Bytes in pieces, so that a client that is cut off notices."""
    size = -(-len(data) // count)
    return iter([data[at : at + size] for at in range(0, len(data), size)])


def _bytewise(hostile: HostileBody, body: bytes) -> Steps:
    yield hostile.head("Transfer-Encoding: chunked")
    yield from _in_pieces(b"".join(_chunk(body[at : at + 1]) for at in range(len(body))) + b"0\r\n\r\n")


def _with_extensions(hostile: HostileBody, body: bytes) -> Steps:
    """Each chunk carries words that nobody reads."""
    yield hostile.head("Transfer-Encoding: chunked")
    yield from _in_pieces((b"1;" + b"e" * 200 + b"\r\n \r\n") * 10_000 + _chunk(body) + b"0\r\n\r\n")


def _with_trailers(hostile: HostileBody, body: bytes) -> Steps:
    yield hostile.head("Transfer-Encoding: chunked") + _chunk(body) + b"0\r\n"
    yield from _in_pieces(b"X-Trailer: 1\r\n" * 200_000 + b"\r\n")


def _chunk_of_2_60(hostile: HostileBody, body: bytes) -> Steps:
    yield hostile.head("Transfer-Encoding: chunked") + b"fffffffffffffff\r\n" + body
    yield None


def _no_chunk(hostile: HostileBody, body: bytes) -> Steps:
    yield hostile.head("Transfer-Encoding: chunked") + b"zz\r\n" + body


def _too_short(hostile: HostileBody, body: bytes) -> Steps:
    """Fewer bytes than were promised, then the end of the client's half."""
    yield hostile.head(f"Content-Length: {len(body) + 100}") + body
    yield None


def _too_long(hostile: HostileBody, body: bytes) -> Steps:
    """More bytes than were promised: what is left is no request."""
    yield hostile.head(f"Content-Length: {len(body) - 10}") + body


def _length(value: str) -> Callable[[HostileBody, bytes], Steps]:
    def steps(hostile: HostileBody, body: bytes) -> Steps:
        yield hostile.head(f"Content-Length: {value}") + body
        yield None

    return steps


def _two_lengths(hostile: HostileBody, body: bytes) -> Steps:
    yield hostile.head(f"Content-Length: {len(body)}", "Content-Length: 5") + body
    yield None


def _length_and_chunks(hostile: HostileBody, body: bytes) -> Steps:
    yield hostile.head(f"Content-Length: {len(body)}", "Transfer-Encoding: chunked") + _chunk(body) + b"0\r\n\r\n"
    yield None


def _pipelined(hostile: HostileBody, body: bytes) -> Steps:
    yield from _in_pieces((hostile.head(f"Content-Length: {len(body)}") + body) * 10_000)


def _pipelined_heads(hostile: HostileBody, body: bytes) -> Steps:
    yield from _in_pieces(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10_000)


def _slowly(hostile: HostileBody, body: bytes) -> Steps:
    yield hostile.head(f"Content-Length: {len(body)}")
    for piece in _in_pieces(body, 15):
        yield 0.2
        yield piece


def _slow_head(hostile: HostileBody, body: bytes) -> Steps:
    for piece in _in_pieces(hostile.head(f"Content-Length: {len(body)}"), 10):
        yield 0.2
        yield piece
    yield body


def _asks_and_leaves(hostile: HostileBody, body: bytes) -> Steps:
    """Asks whether it may send, is told so, and ends its half."""
    yield hostile.head(f"Content-Length: {len(body)}", "Expect: 100-continue")
    yield 0.3
    yield None


def _asks_and_sends(hostile: HostileBody, body: bytes) -> Steps:
    yield hostile.head(f"Content-Length: {len(body)}", "Expect: 100-continue")
    yield 0.2
    yield body


def _asks_for_much(hostile: HostileBody, body: bytes) -> Steps:
    yield hostile.head("Content-Length: 4000000000", "Expect: 100-continue")


def _half_closed(hostile: HostileBody, body: bytes) -> Steps:
    yield hostile.head(f"Content-Length: {len(body)}") + body
    yield None


def _many_headers(hostile: HostileBody, body: bytes) -> Steps:
    yield hostile.head(f"Content-Length: {len(body)}", *(f"X-{i}: {i}" for i in range(3000))) + body


def _head_too_long(hostile: HostileBody, body: bytes) -> Steps:
    yield from _in_pieces(hostile.head(f"X-Long: {'x' * 2_000_000}", f"Content-Length: {len(body)}") + body)


def _zero_bytes(hostile: HostileBody, body: bytes) -> Steps:
    yield from _in_pieces(bytes(2_000_000))


def _no_promise(hostile: HostileBody, body: bytes) -> Steps:
    """Neither a length nor chunks: the body is what comes next on the connection."""
    yield hostile.head() + body
    yield None


_FRAMINGS: dict[str, tuple[Callable[[HostileBody, bytes], Steps], bytes, bool]] = {
    "chunks of a byte": (_bytewise, _ROWS, True),
    "chunks of a byte, hostile": (_bytewise, split([[1] * 3000, *[[1]] * 30_000]), True),
    "chunks with long extensions": (_with_extensions, _GOOD, False),
    "200k trailers": (_with_trailers, _GOOD, False),
    "a chunk of 2^60 bytes": (_chunk_of_2_60, _GOOD, False),
    "a chunk of no size": (_no_chunk, _GOOD, True),
    "fewer bytes than promised": (_too_short, _GOOD, False),
    "more bytes than promised": (_too_long, _GOOD, True),
    "a length of 2^63": (_length(str(2**63)), _GOOD, False),
    "a length of 2^64": (_length(str(2**64)), _GOOD, False),
    "a length below zero": (_length("-1"), _GOOD, True),
    "a length of words": (_length("many"), _GOOD, True),
    "a length of a thousand digits": (_length("0" * 1000 + "5"), _GOOD, True),
    "two lengths": (_two_lengths, _GOOD, True),
    "a length and chunks": (_length_and_chunks, _GOOD, True),
    "10k requests at once": (_pipelined, _GOOD, False),
    "10k pings at once": (_pipelined_heads, b"", False),
    "a body in three seconds": (_slowly, _ROWS, True),
    "a head in two seconds": (_slow_head, _GOOD, True),
    "asks whether to send, and leaves": (_asks_and_leaves, _GOOD, False),
    "asks whether to send": (_asks_and_sends, _ROWS, True),
    "asks whether to send 4 GB": (_asks_for_much, _GOOD, True),
    "ends its half after the request": (_half_closed, _ROWS, False),
    "3,000 headers": (_many_headers, _GOOD, True),
    "a head of 2 MB": (_head_too_long, _GOOD, False),
    "zero bytes": (_zero_bytes, b"", False),
    "neither length nor chunks": (_no_promise, _GOOD, True),
}
