"""The module without an account: its form, its rules against a provider that makes nothing."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from terraform import MODULE, ROOT, Terraform, TerraformFailed, aws_environ

from darkroom.deploy.vpc import CLOSED

FILES = {
    *("network", "storage", "messaging", "api", "cluster", "karpenter", "observability"),
    *("variables", "outputs", "versions", "identity", "passwords", "exposure"),
}
MAX_VARIABLES = 25
#: One process each: on two cores they take half as long as one after the other.
RULES = sorted(path.name for path in (MODULE / "tests").glob("*.tftest.hcl"))
SOURCES = {path.stem: path.read_text() for path in MODULE.glob("*.tf")}


@pytest.fixture(scope="module")
def module(tmp_path_factory, terraform_program):
    """The module with its provider and no state."""
    nowhere = aws_environ("http://127.0.0.1:1")
    copy = Terraform.copied(tmp_path_factory.mktemp("static"), nowhere)
    try:
        copy.init(bucket=None)
    except TerraformFailed as failed:
        last = " ".join(str(failed).split())[-200:]
        pytest.skip(f"terraform cannot get its provider: ... {last}")
    return copy


def test_the_files_are_formatted(terraform_program):
    """As `terraform fmt` writes them."""
    done = subprocess.run(
        [terraform_program, "fmt", "-check", "-recursive", "-diff", str(MODULE)],
        env=aws_environ("") | {"TF_CLI_CONFIG_FILE": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_module_is_valid(module):
    """For the true provider."""
    assert json.loads(module.run("validate", "-json"))["valid"] is True


@pytest.mark.parametrize("rules", RULES)
def test_the_rules_hold(module, rules, tmp_path):
    """Filters, data, API, cluster, China, an existing VPC, and values that must be refused."""
    mocked = module.twin(tmp_path)
    # Terraform cannot mock what is ephemeral.
    (mocked.folder / "passwords.tf").unlink()
    said = mocked.run("test", "-no-color", "-json", "-filter", f"tests/{rules}")
    summaries = [json.loads(line) for line in said.splitlines() if '"test_summary"' in line]
    summary = summaries[0]["test_summary"]
    assert (summary["status"], summary["skipped"]) == ("pass", 0)
    written = re.findall(r'^run "', (MODULE / "tests" / rules).read_text(), flags=re.MULTILINE)
    assert summary["passed"] == len(written)


def test_a_new_network_and_an_existing_one_leave_out_the_same_zones():
    """EKS refuses them, whoever made the subnet."""
    [written] = re.findall(r"exclude_zone_ids = (\[.*\])", SOURCES["network"])
    assert set(json.loads(written)) == CLOSED


def test_each_validated_variable_is_refused_somewhere():
    """As the rules about refusals expect it."""
    refusals = (MODULE / "tests/refusals.tftest.hcl").read_text()
    validated = {name for name, body in variables().items() if "validation {" in body}
    assert set(re.findall(r"^ +var\.(\w+),$", refusals, flags=re.MULTILINE)) == validated


def test_the_default_python_is_the_newest_that_the_provider_knows(module, tmp_path):
    """The provider names all that it knows when it is given one that it does not."""
    shutil.copytree(module.folder / ".terraform", tmp_path / ".terraform", symlinks=True)
    shutil.copy(module.folder / ".terraform.lock.hcl", tmp_path)
    (tmp_path / "versions.tf").write_text(SOURCES["versions"])
    (tmp_path / "function.tf").write_text(
        'resource "aws_lambda_function" "probe" {\n'
        '  function_name = "probe"\n  role = "arn:aws:iam::1:role/a"\n'
        '  handler = "a.b"\n  filename = "a.zip"\n  runtime = "python9.9"\n}\n'
        'variable "region" {}\nvariable "tags" {}\nvariable "name" {}\n'
        'variable "runtimes_file" {}\n'
    )
    probe = Terraform(folder=tmp_path, environ=module.environ)
    said = probe.run("validate", "-no-color", expected=(1,))
    known = {int(minor) for minor in re.findall(r"python3\.(\d+)", said)}
    default = re.search(r'python += optional\(string, "3\.(\d+)"\)', SOURCES["variables"])
    assert int(default[1]) == max(known)


def test_checkov_finds_nothing():
    """But for what .checkov.yaml skips, each with its reason."""
    program = shutil.which("checkov", path=f"{ROOT / '.cache/checkov/bin'}:/usr/local/bin:/usr/bin")
    if program is None:
        pytest.skip("checkov is not installed: `make checkov` does that")
    done = subprocess.run(
        [program, "-d", str(MODULE), "--config-file", str(MODULE / ".checkov.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_skip_of_checkov_has_its_reason():
    """A comment above it or behind it; a group has one for all."""
    lines = (MODULE / ".checkov.yaml").read_text().splitlines()
    first = lines.index("skip-check:") + 1
    assert lines[first].strip().startswith("# ")
    skipped = yaml.safe_load((MODULE / ".checkov.yaml").read_text())["skip-check"]
    assert len(skipped) == len(set(skipped))


def variables():
    """Name -> the body of its block."""
    blocks = re.split(r'^variable "', SOURCES["variables"], flags=re.MULTILINE)[1:]
    return {block.partition('"')[0]: block for block in blocks}


def test_there_is_one_file_for_each_subject():
    """A new one is a new subject."""
    assert set(SOURCES) == FILES


def test_variables_are_few_and_each_is_described_typed_and_validated():
    """A yes or no has nothing to be validated but its type."""
    found = variables()
    assert len(found) <= MAX_VARIABLES
    for name, body in found.items():
        assert "description = " in body, name
        kind = re.search(r"^  type +=(.*)$", body, flags=re.MULTILINE)
        assert kind, name
        assert kind[1].strip() == "bool" or "validation {" in body, name


def test_nothing_names_a_partition_or_a_suffix():
    """China has others."""
    for name, text in SOURCES.items():
        code = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
        assert "arn:aws:" not in code, name
        assert "amazonaws" not in code, name


def test_only_plain_resources_are_used():
    """No module of a registry, and one provider."""
    everything = "\n".join(SOURCES.values())
    assert not re.search(r'^module "', everything, flags=re.MULTILINE)
    assert re.findall(r'source += "(.*/.*)"', everything) == ["hashicorp/aws"]
    assert "reserved_concurrent_executions" not in everything


def test_no_lock_file_is_committed():
    """Made from a mirror it would hold one platform's hashes."""
    tracked = subprocess.run(
        ["git", "ls-files", "infra"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert ".terraform.lock.hcl" not in tracked
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".terraform.lock.hcl", "*.tfstate*"} <= set(ignored)


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_environments_set_variables_that_exist(name):
    """A misspelt one would only be warned of."""
    text = (MODULE / f"envs/{name}.tfvars").read_text()
    assert set(re.findall(r"^(\w+) +=", text, flags=re.MULTILINE)) <= variables().keys()
