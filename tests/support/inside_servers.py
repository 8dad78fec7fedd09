"""Small servers that tests run inside a desktop, on its Python's standard library alone."""

HTTP = """
import http.server, json, socket, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/events":
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.close_connection = True
            for line in iter(input, "stop"):
                self.wfile.write(f"data: {line}\\n\\n".encode())
            return
        if self.path == "/huge":
            self.send_response(200)
            self.send_header("content-length", str(32 << 20))
            self.end_headers()
            for _ in range(32):
                self.wfile.write(b"x" * (1 << 20))
            return
        seen = dict(self.headers)
        self.answer({"path": self.path, "headers": seen, "client": self.client_address[0]})

    def do_POST(self):
        length = self.headers.get("content-length")
        body = self.rfile.read(int(length)) if length else self.chunks()
        self.answer({"size": len(body), "head": body[:20].decode()})

    def chunks(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, fields):
        body = json.dumps(fields).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET

server = Server((sys.argv[2], int(sys.argv[1])), Handler)
print("ready", flush=True)
server.serve_forever()
"""

WEBSOCKET = """
import base64, hashlib, socket, sys

server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
connection, _ = server.accept()
stream = connection.makefile("rwb", buffering=0)
key = b""
while (line := stream.readline().strip()):
    if line.lower().startswith(b"sec-websocket-key:"):
        key = line.split(b":")[1].strip()
accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
stream.write(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\n"
             b"Connection: Upgrade\\r\\nSec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
while (head := stream.read(2)):
    size = head[1] & 127
    mask = stream.read(4)
    text = bytes(byte ^ mask[n % 4] for n, byte in enumerate(stream.read(size)))
    stream.write(bytes([head[0], size]) + text)
    if head[0] & 15 == 8:
        break
"""
