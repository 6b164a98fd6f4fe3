#!/usr/bin/env python3
"""An echo server on PyPI hypercorn, over HTTP/2 for those who choose it: python_hypercorn.py --cert FILE --key FILE"""

import argparse
import asyncio
import signal
import socket

from hypercorn.asyncio import serve
from hypercorn.config import Config


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        # Only one of them is set.
        await send({"type": "websocket.send"} | {key: event[key] for key in ("text", "bytes") if event.get(key) is not None})
    print(f"closed {event['code']} over HTTP/{scope['http_version']}", flush=True)


async def main(cert, key):
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.certfile, config.keyfile = cert, key
    config.graceful_timeout = 1
    config.errorlog = None
    print(f"listening on wss://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await serve(app, config, shutdown_trigger=stop.wait)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cert", required=True, help="the server's certificate")
    parser.add_argument("--key", required=True, help="its key")
    asyncio.run(main(**vars(parser.parse_args())))
