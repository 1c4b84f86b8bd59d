"""Whether images for other machines can be built here is known before anything is paid for."""

import platform

import pytest

from darkroom.deploy.builder import judged_builder
from darkroom.deploy.program import Programs

AARCH64 = "7f454c460201010000000000000000000200b700"
X86_64 = "7f454c4602010100000000000000000002003e00"
#: As buildx prints a builder: the daemon's own, one of several nodes, one that was never started.
DAEMON = """Name:   default
Driver: docker

Nodes:
Name:             default
Endpoint:         default
Status:           running
BuildKit version: v0.22.0
Platforms:        linux/amd64, linux/amd64/v2, linux/386"""
DESKTOP = DAEMON.replace("linux/386", "linux/arm64, linux/386")
NODES = DAEMON + "\n\nName:      far\nEndpoint:  ssh://far\nPlatforms: linux/arm64*"
INACTIVE = "Name:   far\nDriver: docker-container\n\nNodes:\nName:     far0\nStatus:   inactive"
DOWN = "Nodes:\nName:  default\nError: Cannot connect to the Docker daemon at unix:///a.sock"
FOREIGN = {"linux/arm64", "linux/amd64"}


@pytest.fixture
def put(tmp_path):
    """Put a program in the folder that is the PATH."""

    def put(name, body, version="28.2"):
        path = tmp_path / name
        asked = f'case "$1" in --version) echo "{name} {version}"; exit;; esac'
        path.write_text(f"#!/bin/sh\n{asked}\n{body}\n")
        path.chmod(0o755)

    return put


def found(tmp_path, wanted=FOREIGN, handlers=None, **environ):
    """All findings."""
    programs = Programs(environ={"PATH": f"{tmp_path}:/usr/bin:/bin", **environ})
    return list(judged_builder(programs, wanted, handlers or tmp_path / "nothing"))


def docker(put, said, builder="default"):
    """A docker whose builder of that name says that."""
    put(
        "docker",
        f'case "$*" in "context show") echo default;; "buildx inspect {builder}") '
        f"cat <<'END'\n{said}\nEND\n;; esac",
    )


def buildah_only(put):
    """Where a docker is installed that is too old."""
    put("docker", "exit 1", version="20.10")
    put("buildah", "exit 0")


def handler(folder, name="qemu-aarch64", *, enabled="enabled", flags="POCF", magic=AARCH64):
    """One of binfmt_misc, as Linux shows it."""
    folder.mkdir(exist_ok=True)
    (folder / "status").write_text("enabled\n")
    interpreter = f"/usr/libexec/qemu-binfmt/{name}"
    (folder / name).write_text(
        f"{enabled}\ninterpreter {interpreter}\nflags: {flags}\noffset 0\nmagic {magic}\nmask ff\n"
    )
    return folder


def test_a_docker_without_emulation_stops_it_with_the_command_that_installs_it(tmp_path, put):
    """Twenty minutes of Terraform later it would be "exec format error"."""
    docker(put, DAEMON)
    [finding] = found(tmp_path)
    assert finding.fatal
    assert "wanted for linux/arm64, and docker builds for linux/386, linux/amd64 only" in (
        finding.text
    )
    assert "docker run --privileged --rm tonistiigi/binfmt --install arm64" in finding.text


@pytest.mark.parametrize("said", [DESKTOP, NODES], ids=["Desktop", "two nodes"])
def test_what_dockers_builder_says_it_can_is_believed(tmp_path, put, said):
    """Docker Desktop's machine has QEMU, and a node may be far away: this kernel tells nothing."""
    docker(put, said)
    assert found(tmp_path) == []


def test_the_builder_is_the_one_that_the_environment_names(tmp_path, put):
    """As `docker build` itself takes it."""
    docker(put, DESKTOP, builder="far")
    assert found(tmp_path, BUILDX_BUILDER="far") == []


def test_a_builder_that_was_never_started_is_no_reason_to_stop(tmp_path, put):
    """To ask it would start it."""
    docker(put, INACTIVE)
    [finding] = found(tmp_path)
    assert not finding.fatal
    assert "is not known" in finding.text


def test_a_docker_whose_daemon_does_not_run_cannot_build(tmp_path, put):
    """Its version it tells all the same."""
    docker(put, DOWN)
    [finding] = found(tmp_path)
    assert finding.fatal
    assert "Cannot connect to the Docker daemon at unix:///a.sock" in finding.text


def test_a_docker_without_buildx_cannot_build(tmp_path, put):
    """The Dockerfile mounts secrets, which only BuildKit can."""
    put(
        "docker", 'if [ "$1" = buildx ]; then echo "unknown command: docker buildx" >&2; exit 1; fi'
    )
    [finding] = found(tmp_path)
    assert finding.fatal
    assert "unknown command: docker buildx" in finding.text
    assert "docker-buildx-plugin" in finding.text


def test_buildah_builds_for_its_own_machine_and_for_those_that_the_kernel_can_run(tmp_path, put):
    """One handler for each, whatever its name is."""
    buildah_only(put)
    handlers = handler(tmp_path / "handlers")
    handler(handlers, "rosetta", magic=X86_64)
    assert found(tmp_path, handlers=handlers) == []


@pytest.mark.parametrize(
    "wrong",
    [{"enabled": "disabled"}, {"flags": "POC"}, {"magic": AARCH64.replace("b7", "f3")}],
    ids=str,
)
def test_a_handler_that_a_build_cannot_use_stops_it(tmp_path, put, wrong):
    """Switched off; looked for inside the image, which has none; of another architecture."""
    buildah_only(put)
    own = {"x86_64": X86_64, "aarch64": AARCH64}[platform.machine()]
    other = {"linux/arm64"} if own == X86_64 else {"linux/amd64"}
    handlers = handler(tmp_path / "handlers", **wrong)
    [finding] = found(tmp_path, other, handlers)
    assert finding.fatal
    assert "apt-get install qemu-user-static binfmt-support" in finding.text


def test_where_linux_does_not_show_its_handlers_it_is_said_and_goes_on(tmp_path, put):
    """In a container they work, and are not to be seen."""
    buildah_only(put)
    assert [each.fatal for each in found(tmp_path)] == [False]


def test_nothing_is_asked_where_nothing_is_built_or_nobody_could(tmp_path):
    """The lack of both programs is said with the other programs."""
    assert found(tmp_path, set()) == []
    assert list(judged_builder(Programs(environ={"PATH": str(tmp_path)}), FOREIGN)) == []
