#!/usr/bin/env python3
"""Checks an echo server with PyPI websockets.

PARAMETERS of permessage-deflate to ask for, as in
server_no_context_takeover,client_max_window_bits=10; without them, what the library asks for.
"""

import argparse
import asyncio
import json
import os
import ssl
import sys

import websockets
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

LIMIT = 30
UNICODE = "Grüße, κόσμε, 世界, 🙂, e\u0301, \u0000, \U0010ffff"

EXTENSIONS = []
TLS = {}


def offer(params):
    named = dict(param.split("=") if "=" in param else (param, True) for param in params.split(","))
    named = {name: value if value is True else int(value) for name, value in named.items()}
    return ClientPerMessageDeflateFactory(**named)


def context(args):
    context = ssl.create_default_context(cafile=args.ca)
    if args.cert:
        context.load_cert_chain(args.cert, args.key)
    if args.tls:
        context.minimum_version = context.maximum_version = ssl.TLSVersion["TLSv" + args.tls.replace(".", "_")]
    return context


def opened(url, **options):
    options = TLS | options
    if EXTENSIONS:
        options = {"compression": None, "extensions": EXTENSIONS} | options
    # The peer's own limits are what is tested, not those of this client.
    return connect(url, max_size=None, ping_interval=None, open_timeout=LIMIT, close_timeout=LIMIT, **options)


async def echo(url, message, **options):
    async with opened(url, **options) as ws:
        await ws.send(message)
        reply = await ws.recv()
        assert type(reply) is type(message), f"{type(reply)} for {type(message)}"
        assert reply == message, "the echo differs"


async def fragments(url, pieces):
    async with opened(url) as ws:
        await ws.send(pieces)
        reply = await ws.recv()
        assert reply == type(pieces[0])().join(pieces), "the echo differs"


async def ping(url):
    async with opened(url) as ws:
        for payload in (b"", b"x", bytes(range(125))):
            await (await ws.ping(payload))
        await ws.pong(b"nobody asked")
        await ws.send("after")
        assert await ws.recv() == "after"


async def ping_inside_message(url):
    async with opened(url) as ws:
        async def pieces():
            yield "one "
            await (await ws.ping(b"inside"))
            yield "two "
            await (await ws.ping(b""))
            yield "three"

        await ws.send(pieces())
        assert await ws.recv() == "one two three"


async def close(url, code, reason):
    async with opened(url) as ws:
        await ws.send("last")
        assert await ws.recv() == "last"
        await ws.close(code, reason)
        assert ws.close_code == code, f"closed with {ws.close_code}"
        received = ws.protocol.close_rcvd
        assert received is not None and received.code == code, f"received {received}"


async def many(url):
    async with opened(url) as ws:
        messages = ["m%d" % i if i % 2 else os.urandom(i) for i in range(500)]

        async def send():
            for message in messages:
                await ws.send(message)

        task = asyncio.create_task(send())
        for message in messages:
            assert await ws.recv() == message
        await task


async def compressible(url):
    # What passes between here and the server is counted at this path.
    async with opened(url + "compressible") as ws:
        sent = 0
        while sent < 1024 * 1024:
            rows = [{"id": sent + i, "name": f"row {i}", "value": i * 37 % 101} for i in range(100)]
            message = json.dumps(rows)
            await ws.send(message)
            assert await ws.recv() == message, "the echo differs"
            sent += len(message)


async def concurrent(url):
    await asyncio.gather(*(echo(url, f"connection {i}") for i in range(50)))


async def not_utf8(url):
    async with opened(url) as ws:
        # text=True sends the bytes as they are.
        await ws.send(b"\xff\xfe", text=True)
        try:
            await ws.recv()
        except ConnectionClosed:
            pass
        assert ws.close_code == 1007, f"closed with {ws.close_code}"


CHECKS = {
    "text": lambda url: echo(url, "Hello"),
    "unicode": lambda url: echo(url, UNICODE),
    "empty text": lambda url: echo(url, ""),
    "binary": lambda url: echo(url, bytes(range(256))),
    "empty binary": lambda url: echo(url, b""),
    "1 MiB of text": lambda url: echo(url, UNICODE * (1024 * 1024 // len(UNICODE.encode()))),
    "1 MiB binary": lambda url: echo(url, os.urandom(1024 * 1024)),
    "16 MiB binary": lambda url: echo(url, os.urandom(16 * 1024 * 1024)),
    "without compression": lambda url: echo(url, "plain", compression=None, extensions=None),
    "fragmented text": lambda url: fragments(url, ["Gr", "ü", "", "ße", "🙂"]),
    "fragmented binary": lambda url: fragments(url, [b"\x00", b"", os.urandom(70000), b"\xff"]),
    "ping and pong": ping,
    "ping inside a message": ping_inside_message,
    "close 1000": lambda url: close(url, 1000, ""),
    "close 1001": lambda url: close(url, 1001, "going away"),
    "close 1011": lambda url: close(url, 1011, "Grüße"),
    "close 3000": lambda url: close(url, 3000, "x" * 123),
    "close 4999": lambda url: close(url, 4999, ""),
    "500 messages": many,
    "1 MiB of JSON": compressible,
    "50 connections": concurrent,
    "text that is not UTF-8": not_utf8,
}


async def main(url):
    failed = 0
    for name, check in CHECKS.items():
        try:
            await asyncio.wait_for(check(url), LIMIT)
            print(f"ok      {name}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__} {error}", flush=True)
    print(f"websockets {websockets.__version__}: {len(CHECKS) - failed} of {len(CHECKS)}")
    return 1 if failed else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("params", nargs="?", default="", metavar="PARAMETERS")
    parser.add_argument("--ca", help="the only authority to trust, for wss://")
    parser.add_argument("--cert", help="the client's certificate")
    parser.add_argument("--key", help="its key")
    parser.add_argument("--tls", choices=["1.2", "1.3"], help="the only version to speak")
    return parser.parse_args()


if __name__ == "__main__":
    args = arguments()
    if args.params:
        EXTENSIONS.append(offer(args.params))
    if args.url.startswith("wss:"):
        TLS["ssl"] = context(args)
    sys.exit(asyncio.run(main(args.url)))
