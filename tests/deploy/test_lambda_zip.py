"""The zip of `make lambda`: for the right machine, complete, small, and always the same."""

import ast
import hashlib
import subprocess
import sys
import zipfile

import pytest

from darkroom.lambda_zip import build

#: ELF's number of AArch64, at byte 18 of a file.
EM_AARCH64 = 183
#: Lambda's own limits: of an upload, and of what it unpacks to.
MAX_ZIP, MAX_UNPACKED = 50 * 2**20, 250 * 2**20
#: What a function's cold start has to read; a tenth of Lambda's limit.
OURS_AT_MOST = 25 * 2**20


@pytest.fixture(scope="module")
def arm_zip(tmp_path_factory):
    """The zip that is deployed by default."""
    out = tmp_path_factory.mktemp("lambda") / "arm64.zip"
    build(architecture="arm64", python="3.13", out=out)
    return out


@pytest.fixture(scope="module")
def arm_files(arm_zip):
    """Path -> content."""
    with zipfile.ZipFile(arm_zip) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_same_sources_give_the_same_bytes(arm_zip, tmp_path):
    """A plan must not change the function when nothing has."""
    build(architecture="arm64", python="3.13", out=tmp_path / "again.zip")
    digests = {
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (arm_zip, tmp_path / "again.zip")
    }
    assert len(digests) == 1


def test_what_is_compiled_is_for_lambdas_machine_and_python(arm_files):
    """By the ELF header and by the ABI in the name."""
    libraries = {name: data for name, data in arm_files.items() if ".so" in name.rpartition("/")[2]}
    assert libraries
    for name, data in libraries.items():
        assert data[:4] == b"\x7fELF", name
        assert int.from_bytes(data[18:20], "little") == EM_AARCH64, name
        abi = name.rpartition("/")[2].split(".", 1)[1]
        assert abi in ("cpython-313-aarch64-linux-gnu.so", "abi3.so"), name


def test_the_zip_is_small_and_has_no_trace_of_the_machine_that_built_it(arm_zip, arm_files):
    """Neither byte code nor scripts with the path of an interpreter."""
    assert arm_zip.stat().st_size < OURS_AT_MOST < MAX_ZIP
    assert sum(map(len, arm_files.values())) < MAX_UNPACKED
    assert not [name for name in arm_files if name.endswith(".pyc") or name.startswith("bin/")]
    assert not [name for name, data in arm_files.items() if sys.prefix.encode() in data]
    assert "runtimes.yaml" in arm_files


def test_everything_that_is_imported_is_in_the_zip(arm_files):
    """From both handlers on, whatever an import at module level names."""
    seen, missing = set(), set()
    waiting = ["api.lambda_handler", "api.authorizer_handler"]
    while waiting:
        module = waiting.pop()
        if module in seen or module.partition(".")[0] in sys.stdlib_module_names:
            continue
        seen.add(module)
        path = module.replace(".", "/")
        source = arm_files.get(f"{path}.py", arm_files.get(f"{path}/__init__.py"))
        if source is None:
            if not any(name.startswith((f"{path}.", f"{path}/")) for name in arm_files):
                missing.add(module)
            continue
        is_package = f"{path}.py" not in arm_files
        waiting += imported(ast.parse(source), module, is_package=is_package)
    # A name from a package may be an attribute of it and no module.
    modules = {name for name in missing if name.rpartition(".")[0] not in seen}
    assert modules == set()
    assert {"pydantic", "fastapi", "botocore", "mangum", "yaml"} <= seen


def imported(tree, module, *, is_package):
    """The modules that a module imports whenever it is imported itself."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")
            base = base[: len(base) - node.level + is_package] if node.level else []
            name = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names if alias.name != "*")


def test_the_handlers_import_with_nothing_but_the_zip(host_zip, tmp_path):
    """The zip for this machine, by a Python that has no packages of its own."""
    with zipfile.ZipFile(host_zip) as archive:
        archive.extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, '.');"
        "import api.lambda_handler, api.authorizer_handler;"
        "print(api.lambda_handler.__file__, len(api.lambda_handler.handler.app.routes))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        cwd=tmp_path,
        env={
            "AWS_DEFAULT_REGION": "us-east-1",
            "DARKROOM_RUNTIMES": "runtimes.yaml",
            **{
                f"DARKROOM_{name}": "x"
                for name in (
                    *("JOB_TABLE", "BUCKET", "JOBS_TOPIC_ARN", "NOTICES_TOPIC_ARN"),
                    *("KEY_TABLE", "FIRST_KEY_SECRET", "USAGE_PREFIX"),
                )
            },
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))
