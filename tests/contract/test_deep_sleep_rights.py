"""Deep sleep's rights in the cluster are the calls that sleeper and bridge make, and no more."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpx
import pytest
from kubernetes import client

from bridge.rayservice import RayService
from darkroom.names import NAMESPACE, bridges_of
from darkroom.sleep import Cluster, SleepSettings

VERBS = {"GET": "get", "PATCH": "patch"}
#: Enough of every kind that is asked for.
ANSWER = {
    "metadata": {"name": "demo", "resourceVersion": "1"},
    "spec": {"selector": {}, "template": {}},
    "items": [],
}


@pytest.fixture
def api_server():
    """(address, calls): an API server that answers everything, and what was asked of it."""
    calls = set()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            calls.add(call_of(self.command, self.path))
            body = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PATCH(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", calls
    server.shutdown()
    thread.join()
    server.server_close()


def call_of(method, path):
    """(verb, group, resource, name) of a request, as Kubernetes authorises it."""
    url = urlsplit(path)
    root, *rest = url.path.strip("/").split("/")
    group = rest.pop(0) if root == "apis" else ""
    _version, _namespaces, namespace, resource, *name = rest
    assert namespace == NAMESPACE
    verb = VERBS[method] if name else "watch" if "watch=" in url.query else "list"
    return verb, group, resource, *(name or [None])


def granted(manifests, account):
    """The calls that Roles of ours allow a service account."""
    for binding in manifests.of_kind("RoleBinding"):
        if account in {each["name"] for each in binding["subjects"]}:
            for rule in manifests.one("Role", binding["roleRef"]["name"])["rules"]:
                for verb in rule["verbs"]:
                    for group in rule["apiGroups"]:
                        for resource in rule["resources"]:
                            for name in rule.get("resourceNames", [None]):
                                yield verb, group, resource, name


def of_demo(calls):
    """Without those about the other runtime's objects."""
    return {call for call in calls if call[-1] in {None, "demo", *bridges_of("demo")}}


def test_a_sleeper_may_do_what_it_does(api_server, whole):
    """Each of its looks, and the one write."""
    address, calls = api_server
    settings = SleepSettings.from_env(
        {
            "DARKROOM_RAYSERVICE": f"{NAMESPACE}/demo",
            "DARKROOM_BRIDGES": " ".join(bridges_of("demo")),
            "DARKROOM_QUEUE_URLS": "http://queue",
        }
    )
    with client.ApiClient(client.Configuration(host=address)) as connected:
        around = Cluster.of(settings, connected, [])
        seen = around.service()
        around.bridges()
        around.last_active()
        around.gpu_workers()
        around.suspend(seen)
    assert calls == of_demo(granted(whole, "deep-sleep"))


def test_a_bridge_may_wake_and_nothing_else(api_server, whole):
    """Its own two calls."""
    address, calls = api_server

    async def wake():
        service = RayService(httpx.AsyncClient(base_url=address), NAMESPACE, "demo")
        await service.asleep()
        await service.wake()
        await service.aclose()

    asyncio.run(wake())
    assert calls == of_demo(granted(whole, "bridge"))


@pytest.mark.parametrize("account", ["deep-sleep", "bridge"])
def test_nothing_is_granted_of_objects_that_are_not_ours(account, whole):
    """Each runtime's own, by name; only pods are listed, for their label."""
    ours = {"demo", "painter", *bridges_of("demo"), *bridges_of("painter")}
    unnamed = {call for call in granted(whole, account) if call[-1] not in ours}
    assert unnamed <= {("list", "", "pods", None)}
