#!/usr/bin/env python3
"""Checks an echo server over HTTP/2 with PyPI h2 and wsproto: python_h2.py URL [--ca FILE]

All WebSockets are streams of one connection. With ws:// HTTP/2 is spoken at once.
"""

import argparse
import os
import socket
import ssl
import sys
import urllib.parse

import h2.config
import h2.connection
import h2.events
import h2.settings
import wsproto.events
from wsproto.connection import Connection, ConnectionState, ConnectionType

LIMIT = 30
UNICODE = "Grüße, κόσμε, 世界, 🙂, e\u0301, \u0000, \U0010ffff"


class Peer:
    """An HTTP/2 connection, and the WebSockets in it."""

    def __init__(self, url, ca):
        url = urllib.parse.urlsplit(url)
        self.authority, self.scheme = url.netloc, "https" if ca else "http"
        self.socket = socket.create_connection((url.hostname, url.port), LIMIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ca:
            context = ssl.create_default_context(cafile=ca)
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket, server_hostname=url.hostname)
            assert self.socket.selected_alpn_protocol() == "h2", "the server does not choose h2"
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.connection.initiate_connection()
        self.streams, self.is_allowed = {}, None
        self.flush()
        self.until(lambda: self.is_allowed is not None)
        assert self.is_allowed, "the server does not announce SETTINGS_ENABLE_CONNECT_PROTOCOL"

    def flush(self):
        self.socket.sendall(self.connection.data_to_send())

    def until(self, condition):
        while not condition():
            data = self.socket.recv(65536)
            assert data, "the server has ended the connection"
            for event in self.connection.receive_data(data):
                self.handle(event)
            self.flush()

    def handle(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RemoteSettingsChanged):
            allowed = event.changed_settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL)
            self.is_allowed = allowed is not None and allowed.new_value == 1
        elif isinstance(event, h2.events.ResponseReceived):
            stream.headers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream.received(event.data)
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.is_ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            raise AssertionError(f"GOAWAY {event.error_code} {event.additional_data}")

    def open(self, **headers):
        number = self.connection.get_next_available_stream_id()
        wanted = {
            ":method": "CONNECT", ":protocol": "websocket", ":scheme": self.scheme, ":path": "/",
            ":authority": self.authority, "sec-websocket-version": "13",
        } | headers
        stream = self.streams[number] = Stream(self, number)
        self.connection.send_headers(number, list(wanted.items()))
        self.flush()
        self.until(lambda: stream.headers or stream.reset is not None)
        return stream


class Stream:
    """A WebSocket in a stream."""

    def __init__(self, peer, number):
        self.peer, self.number = peer, number
        self.websocket = Connection(ConnectionType.CLIENT)
        self.headers, self.messages, self.message = {}, [], None
        self.pongs, self.close, self.is_ended, self.reset = [], None, False, None

    def received(self, data):
        if not data:
            # With the end of the stream, after a Close.
            return
        self.websocket.receive_data(data)
        for event in self.websocket.events():
            if isinstance(event, wsproto.events.Message):
                self.message = event.data if self.message is None else self.message + event.data
                if event.message_finished:
                    self.messages.append(self.message)
                    self.message = None
            elif isinstance(event, wsproto.events.Pong):
                self.pongs.append(bytes(event.payload))
            elif isinstance(event, wsproto.events.Ping):
                self.write(self.websocket.send(event.response()))
            elif isinstance(event, wsproto.events.CloseConnection):
                self.close = event.code

    def write(self, data):
        connection = self.peer.connection
        while data:
            window = connection.local_flow_control_window(self.number)
            if window == 0:
                self.peer.until(lambda: connection.local_flow_control_window(self.number))
                continue
            size = min(window, connection.max_outbound_frame_size, len(data))
            connection.send_data(self.number, data[:size])
            data = data[size:]
            self.peer.flush()

    def send(self, event):
        self.write(self.websocket.send(event))

    def next(self):
        self.peer.until(lambda: self.messages)
        return self.messages.pop(0)

    def shut(self, code=1000, reason=None):
        self.send(wsproto.events.CloseConnection(code, reason))
        self.peer.until(lambda: self.close is not None and self.is_ended)
        assert self.close == code, f"closed with {self.close}"
        assert self.websocket.state is ConnectionState.CLOSED


def opened(peer):
    stream = peer.open()
    assert stream.headers.get(":status") == "200", f"{stream.headers}"
    unwanted = {"sec-websocket-accept", "upgrade", "connection"} & stream.headers.keys()
    assert not unwanted, f"{unwanted}"
    return stream


def echo(peer, message):
    stream = opened(peer)
    kind = wsproto.events.TextMessage if isinstance(message, str) else wsproto.events.BytesMessage
    stream.send(kind(message))
    assert stream.next() == message, "the echo differs"
    stream.shut()


def fragments(peer):
    stream = opened(peer)
    for at, piece in enumerate(["Gr", "ü", "", "ße", "🙂"]):
        stream.send(wsproto.events.TextMessage(piece, message_finished=at == 4))
    assert stream.next() == "Grüße🙂"
    stream.shut()


def ping(peer):
    stream = opened(peer)
    for payload in (b"", b"x", bytes(range(125))):
        stream.send(wsproto.events.Ping(payload))
        peer.until(lambda: payload in stream.pongs)
    stream.shut()


def many(peer):
    streams = [opened(peer) for _ in range(50)]
    for at, stream in enumerate(streams):
        stream.send(wsproto.events.TextMessage(f"stream {at}"))
    for at, stream in reversed(list(enumerate(streams))):
        assert stream.next() == f"stream {at}"
    for stream in streams:
        stream.shut()


def close(peer, code, reason):
    opened(peer).shut(code, reason)


def refused(peer, status, **headers):
    stream = peer.open(**headers)
    assert stream.headers.get(":status") == status, f"{stream.headers}, reset {stream.reset}"


def unread(peer):
    # One that is not read holds up nobody else.
    quiet = opened(peer)
    quiet.write(b"\x82\xff" + (64 * 1024).to_bytes(8, "big") + bytes(4) + bytes(1024))
    echo(peer, "meanwhile")
    quiet.write(bytes(63 * 1024))
    assert quiet.next() == bytes(64 * 1024)
    quiet.shut()


CHECKS = {
    "text": lambda peer: echo(peer, "Hello"),
    "unicode": lambda peer: echo(peer, UNICODE),
    "empty text": lambda peer: echo(peer, ""),
    "binary": lambda peer: echo(peer, bytes(range(256))),
    "65,536 bytes": lambda peer: echo(peer, os.urandom(65536)),
    "4 MiB binary": lambda peer: echo(peer, os.urandom(4 * 1024 * 1024)),
    "fragmented text": fragments,
    "ping and pong": ping,
    "50 WebSockets at once": many,
    "a message that stops halfway": unread,
    "close 1000": lambda peer: close(peer, 1000, None),
    "close 3000": lambda peer: close(peer, 3000, "Grüße"),
    "another version": lambda peer: refused(peer, "400", **{"sec-websocket-version": "12"}),
    "another protocol": lambda peer: refused(peer, "501", **{":protocol": "connect-udp"}),
}


def main(url, ca):
    peer, failed = Peer(url, ca), 0
    for name, check in CHECKS.items():
        try:
            check(peer)
            print(f"ok      {name}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__} {error}", flush=True)
    print(f"h2 and wsproto: {len(CHECKS) - failed} of {len(CHECKS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--ca", help="the only authority to trust, for wss://")
    sys.exit(main(**vars(parser.parse_args())))
