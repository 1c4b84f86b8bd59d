"""What a server for custom resources alone lacks for kubectl: the two lists of what there is."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import yaml

HOST = "127.0.0.1"
GROUPS = ("apiextensions.k8s.io", "ray.io", "keda.sh", "eventing.keda.sh", "karpenter.sh",
          "karpenter.k8s.aws", "autoscaling.x-k8s.io")  # fmt: skip


@contextmanager
def discovering(kubeconfig: Path, to: Path) -> Iterator[Path]:
    """A kubeconfig at `to` for a proxy of the server that `kubeconfig` names."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    context.load_cert_chain(user["client-certificate"], user["client-key"])
    upstream = httpx.Client(base_url=cluster["server"], verify=context, timeout=60, trust_env=False)
    server = ThreadingHTTPServer((HOST, 0), _handler(upstream))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    cluster = {"server": f"http://{HOST}:{server.server_port}"}
    config["clusters"][0]["cluster"] = cluster
    config["users"][0]["user"] = {}
    to.write_text(yaml.safe_dump(config))
    try:
        yield to
    finally:
        server.shutdown()
        server.server_close()
        upstream.close()


def _handler(upstream):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            """Nobody reads it."""

        def _answer(self):
            path = self.path.partition("?")[0].rstrip("/")
            if path == "/api":
                self._send(200, {"kind": "APIVersions", "versions": []})
            elif path == "/apis":
                groups = [upstream.get(f"/apis/{each}") for each in GROUPS]
                found = [each.json() for each in groups if each.is_success]
                self._send(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": found})
            else:
                self._forward()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

        def _forward(self):
            length = int(self.headers.get("content-length") or 0)
            kept = {"content-type", "accept"}
            headers = {n: v for n, v in self.headers.items() if n.lower() in kept}
            body = self.rfile.read(length)
            with upstream.stream(self.command, self.path, content=body, headers=headers) as answer:
                self.send_response(answer.status_code)
                self.send_header("content-type", answer.headers.get("content-type", "text/plain"))
                self.send_header("connection", "close")
                self.end_headers()
                self.close_connection = True
                for part in answer.iter_bytes():
                    self.wfile.write(part)
                    self.wfile.flush()

        def _send(self, status, document):
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
