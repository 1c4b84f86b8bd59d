"""Who may import whom, and how large a piece may be: the rules of the packages' borders."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Package -> the packages of ours that it may import.
ALLOWED = {
    "jobs": set(),
    "records": {"jobs"},
    "api": {"jobs", "records"},
    "bridge": {"jobs", "records"},
    "client": {"jobs"},
    "darkroom": {"jobs", "records", "client"},
    "gradio_ui": {"jobs", "client"},
    "loadtest": {"jobs", "client"},
    "serve_app": {"jobs", "records"},
}
#: The contract knows no I/O: what of the world it may import.
JOBS_LIBRARIES = {"pydantic", "structlog", "uuid6", "yaml"}
CLOUD_LIBRARIES = {"boto3", "botocore", "mypy_boto3_dynamodb", "mypy_boto3_s3"}
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 50


def modules(package):
    """The package's modules with their syntax trees."""
    files = sorted((ROOT / package).rglob("*.py"))
    return [(file, ast.parse(file.read_text("utf-8"))) for file in files]


def imported(tree):
    """The top-level names that a module imports, wherever in it, and on which line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0] if not node.level else "", node.lineno


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_those_below_it(package):
    """Nothing crosses the borders of design section 1."""
    found = modules(package)
    assert found, f"there is no package {package}"
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file, tree in found
        for name, line in imported(tree)
        if name in ALLOWED.keys() - ALLOWED[package] - {package}
    ]
    assert wrong == []


def test_of_serve_only_policy_and_batch_know_records():
    """Whatever paints for bridges knows no AWS."""
    reaching = {
        file.name
        for file, tree in modules("serve_app")
        if any(name == "records" for name, _ in imported(tree))
    }
    batch = {"batch.py", "batch_program.py", "place.py"}
    assert reaching == {"depth.py", "depth_policy.py"} | batch


@pytest.mark.parametrize("package", ALLOWED)
def test_no_import_is_relative(package):
    """An import says which package it crosses into; the rule above reads only such."""
    wrong = [
        f"{file.relative_to(ROOT)}:{line}"
        for file, tree in modules(package)
        for name, line in imported(tree)
        if not name
    ]
    assert wrong == []


def test_the_contract_has_no_io():
    """`jobs` imports no client of anything."""
    allowed = JOBS_LIBRARIES | {"jobs"} | sys.stdlib_module_names
    forbidden = {"socket", "subprocess", "http", "urllib", "sqlite3", "asyncio"}
    names = {name for _, tree in modules("jobs") for name, _ in imported(tree)}
    assert names - allowed == set()
    assert names & forbidden == set()


def test_boto3_is_met_in_records_only():
    """Clients are injected; the load test is a subscriber from outside, with its own."""
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for package in ALLOWED.keys() - {"records", "loadtest"}
        for file, tree in modules(package)
        for name, line in imported(tree)
        if name in CLOUD_LIBRARIES
    ]
    assert wrong == []


def test_only_the_entry_points_make_clients():
    """`records.connect` is the one place that calls boto3."""
    makers = [
        file.name
        for file, tree in modules("records")
        if any(name == "boto3" for name, _ in imported(tree))
    ]
    # attributes.py takes boto3's (de)serialiser of typed attributes, which speaks to nobody.
    assert makers == ["attributes.py", "connect.py"]


@pytest.mark.parametrize("package", ALLOWED)
def test_nobody_scans_the_table(package):
    """A scan reads every tenant's jobs and is paid by the item."""
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file, tree in modules(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "scan"
    ]
    assert wrong == []


def test_errors_become_verdicts_in_one_place():
    """Whoever catches everything swallows something: one handler, and what runs in threads."""
    broad = {"Exception", "BaseException"}
    found = set()
    for file, tree in modules("bridge") + modules("records"):
        for node in ast.walk(tree):
            match node:
                case (
                    ast.ExceptHandler(type=None) | ast.ExceptHandler(type=ast.Name(id="Exception"))
                ):
                    found.add(file.name)
                case ast.Call(func=ast.Name(id="suppress"), args=[ast.Name(id=name)]):
                    found |= {file.name} if name in broad else set()
    assert found == {"process.py", "threads.py"}


@pytest.mark.parametrize("package", ALLOWED)
def test_no_module_is_too_long(package):
    """What does not fit has two subjects."""
    sizes = {
        str(file.relative_to(ROOT)): len(file.read_text("utf-8").splitlines())
        for file, _ in modules(package)
    }
    assert {name: size for name, size in sizes.items() if size > MAX_MODULE_LINES} == {}


@pytest.mark.parametrize("package", ALLOWED)
def test_no_function_is_too_long(package):
    """Its docstring does not count."""
    sizes = {
        f"{file.relative_to(ROOT)}:{node.name}": body_lines(node)
        for file, tree in modules(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: size for name, size in sizes.items() if size > MAX_FUNCTION_LINES} == {}


def body_lines(function):
    """The lines of a function without its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines
