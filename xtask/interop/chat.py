#!/usr/bin/env python3
"""Uses the page of the example `chat` in a headless Chromium: chat.py URL TOKEN PID CHROMIUM

Guests are tabs. They are driven by the DevTools protocol as a user would do it: fill in the forms,
send them, and read what the page shows. PID is the server's, which is asked to end last.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

from websockets.sync.client import connect

LIMIT = 60
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-port=0",
]

# Resolves once the page shows a text, to all that it shows then.
UNTIL = """new Promise((resolve, reject) => {
    const shown = () => document.body.innerText;
    const look = () => shown().includes(%s) && resolve(shown());
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true,
        characterData: true, attributes: true });
    setTimeout(() => reject(new Error("the page shows: " + shown())), %d);
    look();
})"""
FILL = """(() => {
    const form = document.forms[%s];
    for (const [name, value] of Object.entries(%s)) form.elements[name].value = value;
    form.requestSubmit();
})()"""


class Tab:
    """A tab of the browser, which shows the chat."""

    def __init__(self, browser, url):
        request = urllib.request.Request("%s/json/new?about:blank" % browser, method="PUT")
        with urllib.request.urlopen(request) as answer:
            target = json.load(answer)
        self.socket = connect(target["webSocketDebuggerUrl"], max_size=None)
        self.id = 0
        self.events = []
        self.call("Page.enable")
        self.call("Page.navigate", url=url)
        while "Page.loadEventFired" not in self.events:
            self.events.append(json.loads(self.socket.recv(LIMIT)).get("method"))

    def call(self, method, **params):
        self.id += 1
        self.socket.send(json.dumps({"id": self.id, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv(LIMIT))
            if answer.get("id") == self.id:
                return answer["result"]
            self.events.append(answer.get("method"))

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True,
                           returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    def shows(self, text):
        return self.evaluate(UNTIL % (json.dumps(text), LIMIT * 1000 // 2))

    def fill(self, form, **fields):
        self.evaluate(FILL % (json.dumps(form), json.dumps(fields)))

    def enter(self, name, token, room="lobby"):
        self.fill("enter", room=room, name=name, token=token)

    def say(self, text):
        self.fill("speak", text=text)

    def leave(self):
        # A page that is only left may be kept, with its connection.
        self.call("Page.close")
        self.socket.close()


def use(browser, url, token, pid):
    ada, ben, eve, late = (Tab(browser, url) for _ in range(4))
    ada.enter("ada", "wrong")
    ada.shows("closed with code 1006")
    ada.enter("ada", token)
    ada.shows("Here: ada")
    ben.enter("ben", token)
    ben.shows("Here: ada, ben")
    ada.shows("Here: ada, ben")
    eve.enter("eve", token, room="garden")
    eve.shows("Here: eve")
    yield "guests enter rooms with a token, and see who is there"

    late.enter("ada", token)
    late.shows("closed with code 4001: somebody else has this name")
    yield "a name is given once"

    ada.say("<b>hello</b>")
    for tab in (ada, ben):
        tab.shows("ada: <b>hello</b>")
    ben.say("/to eve psst")
    eve.shows("ben: psst")
    ben.say("out loud")
    assert "psst" not in ada.shows("ben: out loud")
    assert "hello" not in eve.shows("ben: psst")
    ada.say("/to nobody psst")
    ada.shows("there is no nobody")
    yield "rooms hear what is said in them, and one guest what is for one"

    late.enter("late", token)
    shown = late.shows("ben: out loud")
    assert shown.index("ada: <b>hello</b>") < shown.index("ben: out loud"), shown
    yield "who comes late is shown what was said"

    for number in range(25):
        late.say("again %d" % number)
    late.shows("that was too much at once")
    ben.shows("late: again 10")
    yield "who says too much at once is told so"

    late.leave()
    ada.shows("Here: ada, ben\n")
    yield "who leaves is not there any more"

    os.kill(pid, signal.SIGTERM)
    for tab in (ada, ben, eve):
        tab.shows("closed with code 1001: the chat closes")
    yield "the server says goodbye"


def main(url, token, pid, chromium):
    page = urllib.parse.urlsplit(url)._replace(scheme="http", path="/").geturl()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen([chromium, *FLAGS, "--user-data-dir=" + profile],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        try:
            # It says so before it reads anything.
            line = next(line for line in browser.stderr if line.startswith("DevTools listening on"))
            address = urllib.parse.urlsplit(line.split()[-1]).netloc
            for step in use("http://" + address, page, token, int(pid)):
                print("ok      " + step)
            return 0
        except (AssertionError, StopIteration, TimeoutError) as error:
            print("FAILED  %s" % error)
            return 1
        finally:
            browser.terminate()
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
