"""Images are built once, their token is in no command; operators go on from anywhere."""

import base64
import json

import pytest
from botocore.stub import Stubber

from darkroom.cluster.images import Images
from darkroom.deploy.cluster import Cluster
from darkroom.deploy.errors import NotReady, ProgramFailed, ProgramMissing
from darkroom.deploy.images import PushedImages, fingerprint
from darkroom.deploy.operators import Operator
from darkroom.deploy.program import Programs
from darkroom.deploy.wanted import ROOT
from darkroom.emulator import client

DIGEST = "sha256:" + "c" * 64
REGISTRY = "111122223333.dkr.ecr.us-west-2.amazonaws.com"
SECRET = "a-token-that-nobody-sees"


@pytest.fixture
def folder(tmp_path):
    """A folder of programs; what they are told, and given, is written down."""

    def put(name, version, body):
        path = tmp_path / name
        path.write_text(
            f'#!/bin/sh\necho "$@" >> {tmp_path}/{name}.told\n'
            f'case "$1" in --version|version) echo "{version}"; exit;; esac\n{body}\n'
        )
        path.chmod(0o755)
        return tmp_path / f"{name}.told"

    return put


def step(tmp_path, ecr, *, path=None):
    return PushedImages(
        ecr=ecr,
        programs=Programs(environ={"PATH": path or f"{tmp_path}:/usr/bin:/bin"}),
        installation="demo",
        architecture="arm64",
        file=tmp_path / "images.json",
        targets=("serve-cpu",),
    )


def expect_login(stub):
    """ECR gives a token for the registry."""
    token = base64.b64encode(f"AWS:{SECRET}".encode()).decode()
    answer = {"authorizationToken": token, "proxyEndpoint": f"https://{REGISTRY}"}
    stub.add_response("get_authorization_token", {"authorizationData": [answer]}, {})


def expect(stub, *, there):
    """What ECR is asked for one target, and answers."""
    wanted = {"repositoryName": "demo/serve"}
    tag = f"src-{fingerprint(ROOT)}-serve-cpu"
    looked = wanted | {"imageIds": [{"imageTag": tag}]}
    if there:
        detail = {"imageDetails": [{"imageDigest": DIGEST}]}
        stub.add_response("describe_images", detail, looked)
    else:
        stub.add_client_error("describe_images", "ImageNotFoundException", expected_params=looked)


def expect_kept(stub):
    """The digest gets a tag that no rule takes away."""
    wanted = {"repositoryName": "demo/serve"}
    manifest = {
        "imageManifest": "{}",
        "imageManifestMediaType": "application/vnd.oci.image.index.v1+json",
    }
    stub.add_response(
        "batch_get_image",
        {"images": [manifest]},
        wanted | {"imageIds": [{"imageDigest": DIGEST}]},
    )
    # With its type: there may be none in the manifest itself, and ECR would refuse it.
    put = manifest | {"imageTag": "deployed-" + "c" * 12, "imageDigest": DIGEST}
    stub.add_response("put_image", {}, wanted | put)
    found = {"repositories": [{"repositoryUri": f"{REGISTRY}/demo/serve"}]}
    stub.add_response("describe_repositories", found, {"repositoryNames": ["demo/serve"]})


def test_images_of_the_same_sources_are_not_built_again(tmp_path):
    """They are found by a hash of what goes into them, kept, and named by digest."""
    ecr = client("http://127.0.0.1:9", "ecr")
    with Stubber(ecr) as stub:
        expect(stub, there=True)
        expect_kept(stub)
        assert step(tmp_path, ecr).check().done
        stub.assert_no_pending_responses()
    images = Images.from_file(tmp_path / "images.json", digests_only=True)
    assert images.by_name["serve-cpu"] == f"{REGISTRY}/demo/serve@{DIGEST}"


def test_an_image_is_built_for_the_nodes_architecture_and_the_token_is_given_not_said(
    tmp_path, folder
):
    """A command line is seen by everybody on the machine."""
    taken = f'if [ "$1" = login ]; then cat > {tmp_path}/given; fi'
    told = folder("docker", "Docker version 28.2", taken)
    ecr = client("http://127.0.0.1:9", "ecr")
    with Stubber(ecr) as stub:
        expect_login(stub)
        expect(stub, there=False)
        expect(stub, there=True)
        expect_kept(stub)
        step(tmp_path, ecr).apply()
        stub.assert_no_pending_responses()
    lines = told.read_text()
    assert SECRET not in lines
    assert (tmp_path / "given").read_text() == SECRET
    assert "--platform linux/arm64 --target serve-cpu" in lines
    # Else a builder that is not docker's own keeps it, and there is nothing to push.
    assert "--load ." in lines
    assert f"push {REGISTRY}/demo/serve:src-" in lines


@pytest.mark.parametrize(
    ("answer", "platforms"),
    [(None, set()), ("ImageNotFoundException", {"linux/arm64"}), ("AccessDenied", {"linux/arm64"})],
)
def test_platforms_are_those_of_images_that_ecr_does_not_have(tmp_path, answer, platforms):
    """Before the first Terraform it has not even the repository."""
    ecr = client("http://127.0.0.1:9", "ecr")
    with Stubber(ecr) as stub:
        if answer:
            stub.add_client_error("describe_images", answer)
        else:
            expect(stub, there=True)
        assert step(tmp_path, ecr).platforms() == platforms
        stub.assert_no_pending_responses()


def test_a_push_that_ecr_knows_nothing_of_is_said(tmp_path, folder):
    """It goes to another registry, perhaps; an assertion would not tell."""
    folder("docker", "Docker version 28.2", "exit 0")
    ecr = client("http://127.0.0.1:9", "ecr")
    with Stubber(ecr) as stub:
        expect_login(stub)
        expect(stub, there=False)
        expect(stub, there=False)
        with pytest.raises(NotReady, match="docker has pushed serve-cpu"):
            step(tmp_path, ecr).apply()


def test_without_a_builder_both_are_named(tmp_path):
    """And the way without one."""
    with pytest.raises(ProgramMissing, match=r"docker is not.*buildah is not.*--images"):
        step(tmp_path, None, path=str(tmp_path)).apply()


def operator(tmp_path):
    values = tmp_path / "values.yaml"
    values.write_text("replicas: 1\n")
    programs = Programs(environ={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    cluster = Cluster(programs=programs, kubeconfig=tmp_path / "kubeconfig")
    return Operator(cluster=cluster, operator="keda", values=values)


def helm(folder, *, status, chart="keda-2.20.2", values=None, rollback=0):
    """Helm 4, which knows no `list -a`, with the last revision of one release, or with none."""
    last = json.dumps([{"revision": 7, "status": status, "chart": chart}])
    known = f"echo '{last}'" if status else "echo 'Error: release: not found' >&2; exit 1"
    return folder(
        "helm",
        "v4.0.1",
        f"""case "$1" in
  list) case "$*" in *-a*) echo "Error: unknown shorthand flag: 'a' in -a" >&2; exit 1;; esac;;
  history) case "$*" in *"--max 1"*) {known};; *) exit 1;; esac;;
  get) echo '{json.dumps(values)}';;
  rollback) exit {rollback};;
esac""",
    )


@pytest.mark.parametrize(
    ("status", "chart", "values", "done"),
    [
        ("deployed", "keda-2.20.2", {"replicas": 1}, True),
        ("deployed", "keda-2.20.2", {"replicas": 2}, False),
        ("deployed", "keda-2.19.0", {"replicas": 1}, False),
        ("failed", "keda-2.20.2", {"replicas": 1}, False),
        (None, "", None, False),
    ],
)
def test_an_operator_is_done_if_it_is_this_version_with_these_values(
    tmp_path, folder, status, chart, values, done
):
    """Otherwise it is upgraded."""
    helm(folder, status=status, chart=chart, values=values)
    assert operator(tmp_path).check().done is done


def test_an_operator_is_installed_at_its_version_without_the_definitions(tmp_path, folder):
    """Those are applied before it; Helm would not upgrade them."""
    told = helm(folder, status=None)
    operator(tmp_path).apply()
    line = next(each for each in told.read_text().splitlines() if each.startswith("upgrade"))
    assert "--version 2.20.2" in line
    assert "--skip-crds" in line
    assert "--wait" in line


@pytest.mark.parametrize(
    ("status", "then"),
    [
        ("pending-install", "uninstall"),
        ("pending-upgrade", "rollback"),
        ("pending-rollback", "rollback"),
    ],
)
def test_a_helm_that_was_killed_is_gone_on_from(tmp_path, folder, status, then):
    """It leaves a pending release, from which Helm itself refuses to go on."""
    told = helm(folder, status=status)
    operator(tmp_path).apply()
    verbs = [line.split()[0] for line in told.read_text().splitlines()]
    assert then in verbs
    assert verbs[-1] == "upgrade"


def test_an_operator_at_work_is_not_uninstalled_because_going_back_failed(tmp_path, folder):
    """Karpenter has nodes in its care."""
    told = helm(folder, status="pending-upgrade", rollback=1)
    with pytest.raises(ProgramFailed):
        operator(tmp_path).apply()
    assert "uninstall" not in {line.split()[0] for line in told.read_text().splitlines()}


def test_a_cluster_that_does_not_answer_is_not_taken_for_one_without_the_operator(tmp_path, folder):
    """It would be installed over the one that is at work."""
    folder("helm", "v4.0.1", "echo 'Error: Kubernetes cluster unreachable' >&2; exit 1")
    with pytest.raises(ProgramFailed, match="unreachable"):
        operator(tmp_path).check()
