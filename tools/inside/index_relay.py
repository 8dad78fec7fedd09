"""Package indexes for installers in this desktop: asks go to stdout, answers come as files.

    python index_relay.py FOLDER

Serves http://127.0.0.1:PORT and prints {"port": PORT}, then for each request one line
{"ask": N, "path": …}. Whoever reads them outside puts the body to FOLDER/N.0000, N.0001, …, and
then {"status", "type", "parts", "bytes"} to FOLDER/N.json. So the desktop needs no network, and
what it gets is decided outside.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PATIENCE_S = 600
LINE_LIMIT = 2000

say = threading.Lock()
asked = iter(range(1 << 30))


class Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = Path()

    def do_GET(self):
        if len(self.path) > LINE_LIMIT:
            self.send_error(414)
            return
        with say:
            number = next(asked)
            print(json.dumps({"ask": number, "path": self.path}), flush=True)
        head = self.wait(number)
        if head is None:
            self.send_error(504, "nobody outside answers")
            return
        self.send_response(head["status"])
        self.send_header("Content-Type", head["type"])
        self.send_header("Content-Length", str(head["bytes"]))
        self.end_headers()
        for part in range(head["parts"]):
            path = self.folder / f"{number}.{part:04d}"
            if self.command != "HEAD":
                self.wfile.write(path.read_bytes())
            path.unlink()

    do_HEAD = do_GET

    def wait(self, number):
        path, end = self.folder / f"{number}.json", time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                head = json.loads(path.read_text())
                path.unlink()
            except (OSError, ValueError):  # not there yet, or not whole yet
                time.sleep(0.01)
            else:
                return head
        return None

    def log_message(self, *_):
        pass


def main():
    Relay.folder = Path(sys.argv[1])
    Relay.folder.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
