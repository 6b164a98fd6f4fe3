#!/usr/bin/env python3
"""Connects with the targets of a file by PyPI websockets: python_targets.py URL FILE

The URL has no path; FILE has one target a line. Checks that the server got each as the client's
URL parser writes it.
"""

import asyncio
import sys
from pathlib import Path

import websockets
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.uri import parse_uri

LIMIT = 10


async def told(url):
    async with connect(url, proxy=None, open_timeout=LIMIT, close_timeout=LIMIT) as ws:
        return await asyncio.wait_for(ws.recv(), LIMIT)


async def check(url):
    if " " in parse_uri(url).resource_name:
        # This parser leaves blanks as they are, and what has one is no request line.
        try:
            await told(url)
        except InvalidStatus as error:
            assert error.response.status_code == 400, f"refused with {error.response.status_code}"
        else:
            raise AssertionError("a target with a blank was taken")
        url = url.replace(" ", "%20")
    sent = parse_uri(url).resource_name
    got = await told(url)
    assert got == sent, f"sent as {sent}, and the server got {got}"


def shortened(text):
    return text if len(text) <= 100 else f"{text[:40]}… ({len(text)} characters)"


async def main(base, file):
    targets = [line for line in Path(file).read_text(encoding="utf-8").split("\n") if line]
    failed = 0
    for target in targets:
        try:
            await check(base + target)
            print(f"ok      {shortened(target)}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAILED  {shortened(target)}: {type(error).__name__} {error}", flush=True)
    print(f"websockets {websockets.__version__}: {len(targets) - failed} of {len(targets)} targets")
    return 1 if failed or not targets else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(*sys.argv[1:])))
