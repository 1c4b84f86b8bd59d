"""The definitions of custom resources: the very files, wherever they come from."""

import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from darkroom.cluster import crd_files
from darkroom.cluster.crd_files import download, gathered, pinned
from darkroom.cluster.crds import crd_dir
from darkroom.cluster.errors import CannotValidate
from darkroom.names import OVERLAYS
from tests.rendered import build


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each."""

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def site(tmp_path):
    """A folder on loopback, and its address."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def client():
    """Without anybody's proxy."""
    with httpx.Client(trust_env=False) as client:
        yield client


def test_a_file_that_is_the_pinned_one_is_written(site, client, tmp_path):
    """Under its name, folders made on the way."""
    folder, url = site
    (folder / "a.yaml").write_bytes(b"kind: X\n")
    digest = hashlib.sha256(b"kind: X\n").hexdigest()
    download(tmp_path, {"of-v1/a.yaml": {"url": f"{url}/a.yaml", "sha256": digest}}, client)
    assert (tmp_path / "of-v1/a.yaml").read_bytes() == b"kind: X\n"


def test_another_file_is_refused(site, client, tmp_path):
    """Somebody moved the tag."""
    folder, url = site
    (folder / "a.yaml").write_bytes(b"kind: Y\n")
    with pytest.raises(CannotValidate, match=r"a\.yaml.*not the file that was pinned"):
        download(tmp_path, {"a.yaml": {"url": f"{url}/a.yaml", "sha256": "0" * 64}}, client)
    assert not (tmp_path / "a.yaml").exists()


def test_a_missing_file_is_named(site, client, tmp_path):
    """With what the server says."""
    with pytest.raises(CannotValidate, match=r"a\.yaml.*404"):
        download(tmp_path, {"a.yaml": {"url": f"{site[1]}/a.yaml", "sha256": "0"}}, client)


def test_only_the_very_files_are_gathered(site, client, tmp_path, monkeypatch):
    """What is here and differs, or was begun and not ended, is had anew."""
    folder, url = site
    content = {"good.yaml": b"kind: A\n", "changed.yaml": b"kind: B\n", "torn.yaml": b"kind: C\n"}
    for name, text in content.items():
        (folder / name).write_bytes(text)
    files = {
        name: {"url": f"{url}/{name}", "sha256": hashlib.sha256(text).hexdigest()}
        for name, text in content.items()
    }
    # Only what lies here can have it: the address is of nothing.
    files["good.yaml"]["url"] = f"{url}/nothing"
    monkeypatch.setattr(crd_files, "pinned", lambda: files)
    here, to = tmp_path / "here", tmp_path / "to"
    for place, name, text in (
        (here, "good.yaml", content["good.yaml"]),
        (here, "changed.yaml", b"kind: Another\n"),
        (here, "stray.yaml", b"kind: Stray\n"),
        (to, "torn.yaml", b"kind"),
    ):
        place.mkdir(exist_ok=True)
        (place / name).write_bytes(text)
    paths = gathered(to, here, client)
    assert {path.name: path.read_bytes() for path in paths} == content


def test_the_definitions_here_are_the_pinned_ones():
    """All of them, and no other."""
    try:
        folder = crd_dir()
    except CannotValidate as missing:
        pytest.skip(f"shared: {missing}")
    here = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.yaml")
    }
    assert here == {name: file["sha256"] for name, file in pinned().items()}


def test_without_definitions_it_is_said_how_to_get_them(tmp_path):
    """CRD_DIR decides where it is set."""
    with pytest.raises(CannotValidate, match="make crds"):
        crd_dir({"CRD_DIR": str(tmp_path)})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_asks_for_no_kind_that_nobody_installs(overlay, tmp_path):
    """One object of the Prometheus operator's, and no apply would go through without that."""
    brought = {path.rpartition("/")[2].partition("_")[0] for path in pinned()}
    of_kubernetes = {"", "apps", "batch", "policy"}
    groups = {each["apiVersion"].rpartition("/")[0] for each in build(tmp_path, overlay)}
    left = groups - brought - of_kubernetes
    assert {group for group in left if not group.endswith(".k8s.io")} == set()
    assert "ray.io" in groups & brought
