"""Calling URLs that a client names, without being led back inside."""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpcore
import pytest

from bridge.address import is_public
from bridge.egress import MAX_BYTES, Egress, connect
from bridge.errors import EgressFailed, EgressRefused
from bridge.scripted_web import ScriptedWeb, answer

PUBLIC, OTHER = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"

#: What a name may be made to point at, or be written as; none is a way in.
INSIDE = {
    "this network": "0.0.0.0",
    "loopback": "127.0.0.1",
    "loopback, elsewhere in it": "127.8.8.8",
    "private ten": "10.0.0.1",
    "private 172.16": "172.16.0.1",
    "private 172.31": "172.31.255.255",
    "private 192.168": "192.168.1.1",
    "carrier-grade NAT": "100.64.0.1",
    "carrier-grade NAT, its end": "100.127.255.255",
    "instance metadata": "169.254.169.254",
    "ECS credentials": "169.254.170.2",
    "Pod Identity agent": "169.254.170.23",
    "link-local DNS": "169.254.169.253",
    "IETF assignments": "192.0.0.192",
    "documentation": "192.0.2.1",
    "benchmarking": "198.18.0.1",
    "6to4 relay": "192.88.99.1",
    "AS112": "192.175.48.1",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "unspecified v6": "::",
    "loopback v6": "::1",
    "unique local": "fc00::1",
    "instance metadata v6": "fd00:ec2::254",
    "Pod Identity agent v6": "fd00:ec2::23",
    "link-local v6": "fe80::1",
    "link-local v6 with a zone": "fe80::1%eth0",
    "site-local v6": "fec0::1",
    "v4-mapped": "::ffff:169.254.169.254",
    "v4-mapped, of a public one": "::ffff:93.184.215.14",
    "v4-compatible": "::127.0.0.1",
    "v4-translated": "::ffff:0:127.0.0.1",
    "NAT64": "64:ff9b::a9fe:a9fe",
    "NAT64, local": "64:ff9b:1::a9fe:a9fe",
    "6to4": "2002:a9fe:a9fe::1",
    "Teredo": "2001:0:a9fe:a9fe::1",
    "ORCHID": "2001:20::1",
    "documentation v6": "2001:db8::1",
    "documentation v6, the newer": "3fff::1",
    "discard": "100::1",
    "segment routing": "5f00::1",
    "multicast v6": "ff02::1",
    "no address": "localhost",
}


def egress(web: ScriptedWeb, **more: object) -> Egress:
    return Egress(resolver=web.resolver, connector=web.connector, **more)  # type: ignore[arg-type]


def fetched(web: ScriptedWeb, url: str, **more: object) -> bytes:
    return asyncio.run(egress(web, **more).fetch(url))


def web(*answers: bytes, **hosts: list[str]) -> ScriptedWeb:
    """example.org at a public address that gives these answers, and other hosts."""
    return ScriptedWeb(
        {"example.org": [PUBLIC], **{name.replace("_", "."): at for name, at in hosts.items()}},
        {PUBLIC: [*answers]},
    )


class TestWhereItGoes:
    @pytest.mark.parametrize("address", INSIDE.values(), ids=INSIDE.keys())
    def test_a_name_that_points_inside_is_not_connected_to(self, address):
        """Judged is what the name resolves to, so no spelling helps."""
        there = web(inner_org=[address])
        with pytest.raises(EgressRefused, match="not on the public internet"):
            fetched(there, "https://inner.org/")
        assert there.connected == []

    @pytest.mark.parametrize("address", INSIDE.values(), ids=INSIDE.keys())
    def test_a_redirect_inside_is_not_followed(self, address):
        """Each hop is judged like the first."""
        there = web(answer(302, location="https://inner.org/"), inner_org=[address])
        with pytest.raises(EgressRefused, match="not on the public internet"):
            fetched(there, "https://example.org/")
        assert there.connected == [(PUBLIC, 443)]

    @pytest.mark.parametrize(
        "host",
        ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]", "localhost"],
    )
    def test_no_spelling_of_loopback_is_connected_to(self, host):
        """By the system's own resolver, which knows them all."""
        there = web()
        to = Egress(connector=there.connector)
        with pytest.raises((EgressRefused, EgressFailed)):
            asyncio.run(to.fetch(f"https://{host}/"))
        assert there.connected == []

    def test_one_address_inside_spoils_a_name(self):
        """Whoever owns the name would pick which one is taken."""
        there = web(both_org=[PUBLIC, "10.0.0.1"])
        with pytest.raises(EgressRefused):
            fetched(there, "https://both.org/")
        assert there.connected == []

    def test_the_name_is_looked_up_once_and_the_judged_address_connected_to(self):
        """A name that points elsewhere a moment later gains nothing."""
        there = web(answer(200, b"x"))
        assert fetched(there, "https://example.org/a?b=c") == b"x"
        assert there.resolved == ["example.org"]
        assert there.connected == [(PUBLIC, 443)]

    def test_host_and_tls_name_are_the_url_s(self):
        """The address is for the socket only: certificates are for names."""
        there = web(answer(200, b"x"))
        fetched(there, "https://example.org/a?b=c")
        assert there.tls_names == ["example.org"]
        assert there.sent.startswith(b"GET /a?b=c HTTP/1.1\r\nhost: example.org\r\n")

    def test_an_address_that_refuses_is_followed_by_the_next(self):
        """A host with two addresses is up while one is."""
        there = ScriptedWeb({"two.org": [PUBLIC, OTHER]}, {OTHER: [answer(200, b"x")]})
        assert fetched(there, "https://two.org/") == b"x"
        assert there.connected == [(PUBLIC, 443), (OTHER, 443)]

    @pytest.mark.parametrize("address", [PUBLIC, OTHER, "1.1.1.1", "2a00:1450:4001::65"])
    def test_public_addresses_are_public(self, address):
        """Otherwise the tests above would show nothing."""
        assert is_public(address)


class TestOverSockets:
    @pytest.fixture
    def served(self):
        """A server of this machine: its port, and the body that it answers with."""
        body = bytes(range(256)) * 4000

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, body
        server.shutdown()
        thread.join()
        server.server_close()

    def test_a_real_connection_brings_a_real_body(self, served):
        """The connector goes elsewhere than it was told; all the rest is as in earnest."""
        port, body = served

        async def elsewhere(address: str, _: int, timeout: float | None) -> object:
            assert address == PUBLIC
            return await connect("127.0.0.1", port, timeout)

        to = Egress(http=True, resolver=web().resolver, connector=elsewhere)  # type: ignore[arg-type]
        assert asyncio.run(to.fetch("http://example.org/a")) == body

    def test_the_same_server_is_not_reached_by_its_own_address(self, served):
        """With nothing replaced."""
        with pytest.raises(EgressRefused, match="public internet"):
            asyncio.run(Egress(http=True).fetch("http://127.0.0.1/"))


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "http://example.org/",
            "ftp://example.org/",
            "file:///etc/passwd",
            "gopher://example.org/",
            "unix:///var/run/docker.sock",
            "//example.org/",
            "https:///nowhere",
            "https://user@example.org/",
            "https://user:secret@example.org/",
            "https://example.org\\@127.0.0.1/",
            "https://example.org:8443/",
            "https://example.org:80/",
            "https://example.org:99999/",
            "https://exa mple.org/",
            "https://[::1/",
            "https://example.org/\r\nhost: inner",
            "",
        ],
    )
    def test_a_url_of_another_form_is_refused(self, url):
        """Before anything is looked up."""
        there = web(answer(200, b"x"))
        with pytest.raises((EgressRefused, EgressFailed)):
            fetched(there, url)
        assert there.connected == []

    def test_plain_http_is_fetched_where_the_setting_allows_it(self):
        """Over its own port only, and no less guarded."""
        there = web(answer(200, b"x"), inner_org=["127.0.0.1"])
        assert fetched(there, "http://example.org/", http=True) == b"x"
        assert there.connected == [(PUBLIC, 80)]
        with pytest.raises(EgressRefused):
            fetched(there, "http://inner.org/", http=True)

    def test_no_redirect_leads_from_https_to_http(self):
        """What is refused as a URL is refused as a redirect."""
        there = web(answer(302, location="http://example.org/"))
        with pytest.raises(EgressRefused, match="must begin with https"):
            fetched(there, "https://example.org/")

    @pytest.mark.parametrize("location", ["ftp://example.org/", "https://u@example.org/", "http:/"])
    def test_a_redirect_of_another_form_is_refused(self, location):
        """By the same rules."""
        with pytest.raises(EgressRefused):
            fetched(web(answer(302, location=location)), "https://example.org/")

    def test_a_redirect_without_a_place_is_refused(self):
        """Nobody can follow it."""
        with pytest.raises(EgressRefused, match="to nowhere"):
            fetched(web(answer(302)), "https://example.org/")

    def test_three_redirects_are_followed_and_not_a_fourth(self):
        """Relative ones too."""
        hop = answer(307, location="/next")
        assert fetched(web(hop, hop, hop, answer(200, b"x")), "https://example.org/") == b"x"
        with pytest.raises(EgressRefused, match="more than 3 times"):
            fetched(web(hop), "https://example.org/")

    def test_no_variable_of_the_process_sends_it_through_a_proxy(self, monkeypatch):
        """A proxy would connect for us, to wherever it likes."""
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        there = web(answer(200, b"x"))
        fetched(there, "https://example.org/")
        assert there.connected == [(PUBLIC, 443)]


class TestAnswers:
    def test_too_long_an_answer_is_broken_off(self):
        """Whatever it says of its length."""
        there = web(answer(200, b"\0" * (MAX_BYTES + 1)))
        with pytest.raises(EgressRefused, match="more than 20 MB"):
            fetched(there, "https://example.org/")

    @pytest.mark.parametrize("status", [204, 206, 400, 401, 403, 404, 410])
    def test_a_status_that_will_not_change_is_a_refusal(self, status):
        """It is told to the client by its number."""
        with pytest.raises(EgressRefused, match=str(status)):
            fetched(web(answer(status)), "https://example.org/")

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
    def test_a_status_that_may_pass_is_a_failure(self, status):
        """Worth another try."""
        with pytest.raises(EgressFailed, match=str(status)):
            fetched(web(answer(status)), "https://example.org/")

    @pytest.mark.parametrize("host", ["nobody.org", "down.org", "broken.org"])
    def test_a_server_that_does_not_answer_is_a_failure(self, host):
        """Not known, not listening, or not speaking HTTP."""
        there = web(broken_org=[OTHER], down_org=["1.1.1.1"])
        there.answers[OTHER] = [b"SSH-2.0\r\n\r\n"]
        with pytest.raises(EgressFailed):
            fetched(there, f"https://{host}/")

    def test_the_whole_takes_no_longer_than_its_limit(self):
        """A byte a second would go on for ever."""

        async def never(address: str, port: int, timeout: float | None) -> httpcore.AsyncMockStream:
            await asyncio.sleep(60)
            raise AssertionError

        to = Egress(resolver=web().resolver, connector=never, total_s=0.01)
        with pytest.raises(EgressFailed, match="too long"):
            asyncio.run(to.fetch("https://example.org/"))

    def test_a_post_sends_its_body_and_does_not_follow(self):
        """A webhook that redirects is told so by its status."""
        there = web(answer(302, location="https://inner.org/"), inner_org=["127.0.0.1"])
        status = asyncio.run(egress(there).post("https://example.org/", b"{}", {"x-a": "b"}))
        assert status == 302
        assert b"x-a: b" in there.sent
        assert there.sent.endswith(b"\r\n\r\n{}")
        assert there.connected == [(PUBLIC, 443)]

    def test_a_post_inside_is_refused(self):
        """Callbacks are URLs of clients like pictures."""
        there = web(inner_org=["169.254.169.254"])
        with pytest.raises(EgressRefused):
            asyncio.run(egress(there).post("https://inner.org/", b"{}", {}))
        assert there.connected == []
