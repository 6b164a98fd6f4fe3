#!/usr/bin/env python3
"""An echo server on PyPI websockets, to check clients with; see README.md."""

import argparse
import asyncio
import signal
import ssl

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


def thirds(message):
    third = len(message) // 3
    return [message[:third], message[third : 2 * third], message[2 * third :]]


async def handle(ws):
    path = ws.request.path
    try:
        async for message in ws:
            if path == "/ping":
                await (await ws.ping(b"first"))
            if path == "/fragments":
                await ws.send(thirds(message))
            else:
                await ws.send(message)
    except ConnectionClosed:
        pass
    await ws.wait_closed()
    received = ws.protocol.close_rcvd
    print("closed", received.code if received else 1006, flush=True)


def context(args):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(args.cert, args.key)
    if args.client_ca:
        context.load_verify_locations(args.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if args.tls:
        context.minimum_version = context.maximum_version = ssl.TLSVersion["TLSv" + args.tls.replace(".", "_")]
    return context


async def main(args):
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tls = context(args) if args.cert else None
    async with serve(handle, "127.0.0.1", 0, ssl=tls, max_size=None, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on {'wss' if tls else 'ws'}://127.0.0.1:{port}", flush=True)
        await stop.wait()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cert", help="the server's certificate: wss:// instead of ws://")
    parser.add_argument("--key", help="its key")
    parser.add_argument("--client-ca", help="want a certificate of clients, by this authority")
    parser.add_argument("--tls", choices=["1.2", "1.3"], help="the only version to speak")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
