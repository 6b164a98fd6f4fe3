#!/usr/bin/env python3
"""An echo server on PyPI websockets, to check clients with; see README.md."""

import asyncio
import signal

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


async def main():
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(handle, "127.0.0.1", 0, max_size=None, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on ws://127.0.0.1:{port}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
