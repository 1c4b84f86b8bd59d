"""A real API server for custom resources, where the machine has one."""

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from darkroom.kuberay import GROUP, SERVICES, VERSION

ROOT = Path(__file__).resolve().parents[2]
#: Seconds. Some twenty on an idle machine; only a hang is to end here.
_START_S = 240


def program():
    """The program that starts one: `CRD_SERVER`, or beside the checkout; None without one."""
    named = os.environ.get("CRD_SERVER")
    found = Path(named) if named else ROOT.parent / "shared" / "kube" / "crd-server"
    return found if found.exists() else None


@contextmanager
def running_api_server():
    """The kubeconfig of a fresh server, from here to the end of the block; skips without one."""
    start = program()
    if start is None:
        pytest.skip("cluster: no API server for custom resources here (CRD_SERVER)")
    if shutil.which("etcd") is None:
        pytest.skip("cluster: etcd is missing (Debian: etcd-server)")
    folder = tempfile.mkdtemp(prefix="crds-", dir="/tmp")
    try:
        done = subprocess.run(
            [start, "start", folder],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=_START_S,
        )
        kubeconfig = Path(done.stdout.splitlines()[-1])
        with connected(kubeconfig) as api:
            _until_it_serves(api)
        yield kubeconfig
    finally:
        subprocess.run([start, "stop", folder], check=True)
        shutil.rmtree(folder)


def connected(kubeconfig):
    """A client of that server."""
    loaded = client.Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=loaded)
    return client.ApiClient(loaded)


def _until_it_serves(api):
    """A kind is accepted a moment before its objects are."""
    end = time.monotonic() + _START_S
    while True:
        try:
            client.CustomObjectsApi(api).list_cluster_custom_object(GROUP, VERSION, SERVICES)
        except ApiException:
            assert time.monotonic() < end
            time.sleep(0.5)
        else:
            return
