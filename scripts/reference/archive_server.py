"""Serves one file on 127.0.0.1 in several ways, for scripts/check-fetch.sh.

    archive_server.py FILE PORT_FILE LOG

The first part of the address says how: /whole/ with Range; /plain/ without; /cut/ closes every
connection after 40 % of the file; /plaincut/ both; /flip/ one byte differs; /short/ and /long/ have
another size; /page/ is a web page; anything else is not found. LOG gets one line a request: way,
first byte, bytes sent.
"""

import http.server
import os
import sys

path, port_file, log_path = sys.argv[1:]
content = open(path, "rb").read()
part = len(content) * 2 // 5
flipped = bytearray(content)
flipped[len(content) // 2] ^= 1
bodies = {
    "flip": bytes(flipped),
    "short": content[:-100],
    "long": content + bytes(100),
    "page": b"<html>Please log in to this network.</html>",
}
ways = {"whole", "plain", "cut", "plaincut"} | bodies.keys()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        way = self.path.split("/")[1]
        if way not in ways:
            return self.send_error(404)
        body = bodies.get(way, content)
        first = 0
        asked = self.headers.get("Range")
        if asked and not way.startswith("plain"):
            first = int(asked.removeprefix("bytes=").split("-")[0])
            if first >= len(body):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        rest = body[first:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        sent = rest[:part] if way.endswith("cut") else rest
        with open(log_path, "a") as log:
            print(way, first, len(sent), file=log)
        self.wfile.write(sent)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(port_file + ".part", "w") as file:
    print(server.server_port, file=file)
os.rename(port_file + ".part", port_file)
server.serve_forever()
