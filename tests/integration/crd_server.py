"""A real API server for custom resources, where the machine has one."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from kubernetes import client, config

ROOT = Path(__file__).resolve().parents[2]


def program():
    """The program that starts one: `CRD_SERVER`, or beside the checkout; None without one."""
    named = os.environ.get("CRD_SERVER")
    found = Path(named) if named else ROOT.parent / "shared" / "kube" / "crd-server"
    return found if found.exists() else None


@contextmanager
def running_api_server():
    """A connection to a fresh server, from here to the end of the block; skips without one."""
    start = program()
    if start is None:
        pytest.skip("cluster: no API server for custom resources here (CRD_SERVER)")
    if shutil.which("etcd") is None:
        pytest.skip("cluster: etcd is missing (Debian: etcd-server)")
    folder = tempfile.mkdtemp(prefix="crds-", dir="/tmp")
    try:
        done = subprocess.run([start, "start", folder], stdout=subprocess.PIPE, check=True)
        kubeconfig = done.stdout.decode().splitlines()[-1]
        loaded = client.Configuration()
        config.load_kube_config(kubeconfig, client_configuration=loaded)
        with client.ApiClient(loaded) as api:
            yield api
    finally:
        subprocess.run([start, "stop", folder], check=True)
        shutil.rmtree(folder)
