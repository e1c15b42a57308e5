"""Terraform for AWS, without an account: its syntax, its references, and what it lets whom do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

_FOLDER = Path("infra/terraform")
_PLUGINS = Path.home() / ".terraform.d/plugins"


@pytest.fixture(scope="module")
def terraform(repository: Path) -> dict[str, list[dict[str, Any]]]:
    """All files as one: blocks by their kind."""
    options = hcl2.SerializationOptions(with_comments=False, explicit_blocks=False, strip_string_quotes=True)
    blocks: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((repository / _FOLDER).glob("*.tf")):
        for kind, found in hcl2.loads(path.read_text(), serialization_options=options).items():
            blocks.setdefault(kind, []).extend(found)
    return blocks


def named(terraform: dict[str, list[dict[str, Any]]], kind: str) -> dict[str, dict[str, Any]]:
    """Resources or data by `type.name`; variables and outputs by name."""
    found = {}
    for block in terraform[kind]:
        for first, inner in block.items():
            if kind in {"resource", "data"}:
                found |= {f"{first}.{name}": body for name, body in inner.items()}
            else:
                found[first] = inner
    return found


def values(tree: Any) -> Iterator[str]:
    """Every text in a tree."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield str(key)
            yield from values(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from values(value)
    else:
        yield str(tree)


def test_files_are_formatted(repository: Path) -> None:
    if shutil.which("terraform") is None:
        pytest.skip("no Terraform")
    command = ["terraform", "fmt", "-check", "-diff", str(repository / _FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_terraform_validates_it(repository: Path, tmp_path: Path) -> None:
    if shutil.which("terraform") is None:
        pytest.skip("no Terraform")
    if not any(_PLUGINS.glob("registry.terraform.io/hashicorp/aws/*")):
        pytest.skip("no AWS provider in ~/.terraform.d/plugins (`terraform providers mirror` fills it)")
    place = shutil.copytree(repository / _FOLDER, tmp_path / "terraform")
    for words in (("init", "-backend=false", f"-plugin-dir={_PLUGINS}"), ("validate",)):
        done = subprocess.run(["terraform", *words], cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_named_is_there_and_what_is_there_is_named(terraform: dict[str, list[dict[str, Any]]]) -> None:
    resources, data, variables = (named(terraform, kind) for kind in ("resource", "data", "variable"))
    local = {name for block in terraform["locals"] for name in block}
    text = "\n".join(one for block in terraform.values() for one in values(block))
    used = {match[0] for match in re.finditer(r"(?<![\w.])(?:data\.)?aws_\w+\.\w+", text)}
    known = set(resources) | {f"data.{name}" for name in data}
    assert used <= known
    assert set(re.findall(r"\bvar\.(\w+)", text)) == set(variables)
    assert set(re.findall(r"\blocal\.(\w+)", text)) == local
    assert {f"data.{name}" for name in data} <= used


def test_variables_and_outputs_say_what_they_are(terraform: dict[str, list[dict[str, Any]]]) -> None:
    for name, about in named(terraform, "variable").items():
        assert {"description", "type"} <= set(about), name
    for name, about in named(terraform, "output").items():
        assert about["description"], name


def test_nobody_may_do_everything(terraform: dict[str, list[dict[str, Any]]]) -> None:
    documents = {name: one for name, one in named(terraform, "data").items() if "policy_document" in name}
    assert len(documents) >= 5
    for name, document in documents.items():
        for statement in document["statement"]:
            if statement.get("effect") == "Deny":
                continue
            assert not [one for one in statement["actions"] if "*" in one], name
            assert "*" not in statement.get("resources", []), name
            for principal in statement.get("principals", []):
                assert principal["identifiers"] != ["*"], name
    (pods,) = [block["pods"] for block in terraform["locals"] if "pods" in block]
    assert pods["corpusmill-train"] == ["s3:GetObject"]
    assert not [one for actions in pods.values() for one in actions if re.search(r"Policy|Acl|Bucket|\*", one)]
    policies = re.findall(r"policy/[\w/-]+", json.dumps(terraform))
    assert not [one for one in policies if re.search(r"FullAccess|Administrator|PowerUser", one)]


def test_pods_that_have_a_role_are_those_of_the_manifests(
    repository: Path, terraform: dict[str, list[dict[str, Any]]]
) -> None:
    folder = repository / "infra/kubernetes"
    accounts = {one["metadata"]["name"] for one in yaml.safe_load_all((folder / "service-accounts.yaml").read_text())}
    (pods,) = [block["pods"] for block in terraform["locals"] if "pods" in block]
    assert set(pods) < accounts
    association = named(terraform, "resource")["aws_eks_pod_identity_association.pod"]
    assert association["namespace"] == yaml.safe_load((folder / "namespace.yaml").read_text())["metadata"]["name"]
    text = "\n".join(path.read_text() for path in folder.rglob("*.yaml"))
    assert set(pods) <= set(re.findall(r"service-?[aA]ccount(?:Name)?: (corpusmill-\w+)", text))


def test_machines_have_the_labels_and_taints_of_the_manifests(
    repository: Path, terraform: dict[str, list[dict[str, Any]]]
) -> None:
    groups = {
        name.rpartition(".")[2]: one
        for name, one in named(terraform, "resource").items()
        if name.startswith("aws_eks_node_group.")
    }
    labels = {one["labels"]["corpusmill/pool"] for one in groups.values()}
    text = "\n".join(path.read_text() for path in (repository / "infra/kubernetes").rglob("*.yaml"))
    assert set(re.findall(r"nodeSelector: \{corpusmill/pool: (\w+)\}", text)) == labels == set(groups)
    taints = {taint["key"] for one in groups.values() for taint in one.get("taint", [])}
    assert taints == set(re.findall(r"tolerations: \[\{key: (\S+), operator: Exists, effect: NoSchedule\}\]", text))
    for name, group in groups.items():
        lines = [line for line in text.splitlines() if f"corpusmill/pool: {name}" in line]
        assert lines, name
        assert bool(group.get("taint")) == (name != "system")
    assert groups["data"]["capacity_type"] == "SPOT"
    assert groups["data"]["scaling_config"][0]["min_size"] == groups["gpu"]["scaling_config"][0]["min_size"] == 0


def test_a_task_manager_fits_on_a_machine(repository: Path, terraform: dict[str, list[dict[str, Any]]]) -> None:
    """16 cores and 64 GiB of the machines named; the system takes about a tenth."""
    types = named(terraform, "variable")["data_nodes"]["default"]["instance_types"]
    assert all(one.endswith(".4xlarge") and one[0] == "m" for one in types)
    (flink,) = yaml.safe_load_all((repository / "infra/kubernetes/flink.yaml").read_text())
    manager = flink["spec"]["taskManager"]
    sidecar = manager["podTemplate"]["spec"]["containers"][0]["resources"]["requests"]
    assert manager["resource"]["cpu"] + float(sidecar["cpu"]) <= 16 * 0.95
    assert int(manager["resource"]["memory"][:-1]) + int(sidecar["memory"][:-2]) <= 64 * 0.9
    assert manager["replicas"] <= named(terraform, "variable")["data_nodes"]["default"]["desired"]


def test_the_corpus_is_private(terraform: dict[str, list[dict[str, Any]]]) -> None:
    resources = named(terraform, "resource")
    blocked = resources["aws_s3_bucket_public_access_block.corpus"]
    assert [value for key, value in blocked.items() if key != "bucket"] == [True] * 4
    assert "aws_s3_bucket_server_side_encryption_configuration.corpus" in resources
    (deny,) = named(terraform, "data")["aws_iam_policy_document.tls_only"]["statement"]
    assert (deny["effect"], deny["condition"][0]["variable"]) == ("Deny", "aws:SecureTransport")


def test_nothing_is_open_and_everything_is_encrypted(terraform: dict[str, list[dict[str, Any]]]) -> None:
    resources = named(terraform, "resource")
    for name, one in resources.items():
        if name.startswith("aws_vpc_security_group_ingress_rule."):
            assert "referenced_security_group_id" in one
            assert not {"cidr_ipv4", "cidr_ipv6"} & set(one)
            assert one["from_port"] == one["to_port"]
    database = resources["aws_db_instance.prefect"]
    assert (database["publicly_accessible"], database["storage_encrypted"]) == (False, True)
    assert database["manage_master_user_password"] is True
    assert "password" not in database
    assert resources["aws_efs_file_system.runs"]["encrypted"] is True
    template = resources["aws_launch_template.node"]
    assert template["block_device_mappings"][0]["ebs"][0]["encrypted"] is True
    assert template["metadata_options"][0] == {"http_tokens": "required", "http_put_response_hop_limit": 1}
    assert resources["aws_ecr_repository.image"]["image_tag_mutability"] == "IMMUTABLE"


def test_images_have_a_place(repository: Path, terraform: dict[str, list[dict[str, Any]]]) -> None:
    wanted = re.findall(r"newName: REGISTRY/corpusmill-(\w+)", "".join(
        path.read_text() for path in (repository / "infra/kubernetes").rglob("kustomization.yaml")))  # fmt: skip
    place = named(terraform, "resource")["aws_ecr_repository.image"]["for_each"]
    assert set(re.findall(r"\"(\w+)\"", place)) == set(wanted)


def test_versions_are_those_of_the_manifests(repository: Path, terraform: dict[str, list[dict[str, Any]]]) -> None:
    checked = re.search(
        r'^_VERSION = "(.+)"', (repository / "tests/infra/test_kubernetes.py").read_text(), re.MULTILINE
    )
    assert named(terraform, "variable")["kubernetes_version"]["default"] == checked[1]
    region = named(terraform, "variable")["region"]["default"]
    for path in (repository / "infra/kubernetes").rglob("kustomization.yaml"):
        assert f"AWS_DEFAULT_REGION={region}" in path.read_text()


def test_somebody_is_told_of_costs(terraform: dict[str, list[dict[str, Any]]]) -> None:
    budget = named(terraform, "resource")["aws_budgets_budget.monthly"]
    told = Counter(one["notification_type"] for one in budget["notification"])
    assert told == {"FORECASTED": 1, "ACTUAL": 1}
    assert all(one["subscriber_email_addresses"] == "${var.budget_emails}" for one in budget["notification"])
