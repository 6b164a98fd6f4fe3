#!/usr/bin/env python3
"""Talks with an echo server over HTTP/2 with PyPI niquests: python_niquests.py URL --ca FILE"""

import argparse
import sys

import niquests


def main(url, ca):
    with niquests.Session() as session:
        # By itself it would take HTTP/1.1 for a WebSocket.
        response = session.get(url.replace("wss://", "wss+rfc8441://"), verify=ca, timeout=30)
        assert response.http_version == 20, f"HTTP version {response.http_version}"
        assert response.status_code == 200, f"status {response.status_code}"
        websocket = response.extension
        for message in ["Hello", "Grüße, 世界", bytes(range(256)), "x" * 100_000, bytes(1024 * 1024)]:
            websocket.send_payload(message)
            reply = websocket.next_payload()
            # What comes in pieces is given in pieces.
            while reply is not None and len(reply) < len(message):
                reply += websocket.next_payload()
            assert reply == message, "the echo differs"
        websocket.close()
    print(f"niquests {niquests.__version__}: ok")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--ca", required=True, help="the only authority to trust")
    sys.exit(main(**vars(parser.parse_args())))
