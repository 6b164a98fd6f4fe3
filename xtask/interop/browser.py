#!/usr/bin/env python3
"""Checks an echo server in a headless Chromium: browser.py URL CHROMIUM [DIGEST] [--targets FILE | --first]

Serves browser.html, opens it in the browser, and waits for what it reports. A certificate for
the key with that SHA-256 digest, in base64, is trusted whoever signed it. With --targets the page
connects with the targets of FILE only, as targets.cjs does it. With --first it asks the server for a
page first, so that a connection by HTTP/2 is open for its WebSockets.
"""

import argparse
import http.server
import json
import queue
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from pathlib import Path

LIMIT = 120
HERE = Path(__file__)
FILES = {
    "/": ("text/html", HERE.with_name("browser.html")),
    "/targets.cjs": ("text/javascript", HERE.with_name("targets.cjs")),
}
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
]


class Handler(http.server.BaseHTTPRequestHandler):
    reports = queue.Queue()

    def answer(self, status, body=b"", kind="text/plain"):
        self.send_response(status)
        self.send_header("Content-Type", kind + "; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        found = FILES.get(urllib.parse.urlsplit(self.path).path)
        if found is None:
            self.answer(404)
        else:
            kind, file = found
            self.answer(200, file.read_bytes(), kind)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200)
        self.reports.put(json.loads(body))

    def log_message(self, *args):
        pass


def main(url, chromium, digest, targets, first):
    if targets:
        FILES["/targets"] = ("text/plain", targets)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    query = {"url": url} | ({"first": "yes"} if first else {})
    page = "http://127.0.0.1:%d/?%s" % (server.server_address[1], urllib.parse.urlencode(query))
    trust = ["--ignore-certificate-errors-spki-list=" + digest] if digest else []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, tempfile.TemporaryFile() as log:
        browser = subprocess.Popen([chromium, *FLAGS, *trust, "--user-data-dir=" + profile, page],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            report = Handler.reports.get(timeout=LIMIT)
        except queue.Empty:
            report = None
        finally:
            browser.terminate()
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()
        if report is None:
            log.seek(0)
            sys.stdout.write(log.read().decode(errors="replace")[-2000:])
            print("FAILED  the page reported nothing within %d s" % LIMIT)
            return 1
    failed = [name for name, why in report["results"] if why is not None]
    for name, why in report["results"]:
        print("ok      %s" % name if why is None else "FAILED  %s: %s" % (name, why))
    total = len(report["results"])
    print("%s: %d of %d" % (report["agent"].split()[-2], total - len(failed), total))
    return 1 if failed or not total else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("chromium", help="the program")
    parser.add_argument("digest", nargs="?", help="of the key to trust")
    parser.add_argument("--targets", type=Path, metavar="FILE", help="one target a line")
    parser.add_argument("--first", action="store_true", help="ask for a page first")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(**vars(arguments())))
