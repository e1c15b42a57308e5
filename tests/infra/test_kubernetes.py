"""The Kubernetes manifests, without a cluster: their schemas, and whether what they start fits together and is ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from dockerfiles import Stage
from real_commands import check_command, known_variables

from flows.flink.daemons import ClusterPlan
from flows.services.elsewhere import _require_sense
from pipelines.engine.flink.description import read_cluster
from schemas.configs.base import load_config
from schemas.configs.flink import FlinkConfig
from schemas.configs.train import TrainConfig
from schemas.configs.up import UpConfig

# The schemas are those of the oldest version that EKS still takes; what is right there is right in later ones.
_VERSION = "1.34"
_FOLDERS = ("infra/kubernetes", "infra/kubernetes/training")
_REFERENCE = re.compile(r"\$\((\w+)\)")


def _documents(repository: Path) -> Iterator[dict[str, Any]]:
    for folder in _FOLDERS:
        kustomization = yaml.safe_load((repository / folder / "kustomization.yaml").read_text())
        for name in kustomization["resources"]:
            yield from yaml.safe_load_all((repository / folder / name).read_text())


@pytest.fixture(scope="module")
def documents(repository: Path) -> list[dict[str, Any]]:
    """Every object, as it stands in the files."""
    return list(_documents(repository))


def _merged(*templates: dict[str, Any]) -> dict[str, Any]:
    """Pod specs one over the other, as the operator does: containers by name, other lists added up."""
    result: dict[str, Any] = {"containers": []}
    for template in templates:
        for key, value in template.items():
            if key == "containers":
                result["containers"] += [one for one in value if one not in result["containers"]]
            else:
                result[key] = value
    return result


def _of_flink(flink: dict[str, Any]) -> dict[str, dict[str, Any]]:
    spec = flink["spec"]
    pods = {}
    for role in ("jobManager", "taskManager"):
        pod = json.loads(json.dumps(_merged(spec["podTemplate"]["spec"], spec[role]["podTemplate"]["spec"])))
        size = {"cpu": str(spec[role]["resource"]["cpu"]), "memory": spec[role]["resource"]["memory"].upper() + "i"}
        pod["containers"][0] |= {"image": spec["image"], "resources": {"requests": size, "limits": size}}
        pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = None  # it writes its own settings
        pods[f"flink-{role}"] = pod
    return pods


@pytest.fixture(scope="module")
def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The spec of every pod by the name of what makes it."""
    found = {}
    for one in documents:
        if one["kind"] in {"Deployment", "Job"}:
            found[one["metadata"]["name"]] = one["spec"]["template"]["spec"]
        elif one["kind"] == "FlinkDeployment":
            found |= _of_flink(one)
    return found


def _one(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in documents if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def _environment(repository: Path, container: dict[str, Any]) -> dict[str, str]:
    """Names and values; of secrets their key, of config maps what the kustomization says."""
    literals = {}
    for folder in _FOLDERS:
        for made in yaml.safe_load((repository / folder / "kustomization.yaml").read_text())["configMapGenerator"]:
            literals |= {
                (made["name"], *one.split("=", 1)[:1]): one.split("=", 1)[1] for one in made.get("literals", [])
            }
    found: dict[str, str] = {}
    for one in container.get("env", []):
        source = one.get("valueFrom", {})
        if "configMapKeyRef" in source:
            value = literals[source["configMapKeyRef"]["name"], source["configMapKeyRef"]["key"]]
        else:
            value = one["value"] if "value" in one else f"secret {source['secretKeyRef']['key']}"
        found[one["name"]] = _REFERENCE.sub(lambda reference: found[reference[1]], value)
    return found


def test_objects_keep_the_schemas_of_kubernetes(
    documents: list[dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    kinds = set()
    for one in documents:
        if one["kind"] != "FlinkDeployment":
            kubernetes_validate.validate(one, _VERSION, strict=True)
            kinds.add(one["kind"])
    assert {"Deployment", "Job", "Service", "NetworkPolicy", "Namespace", "ServiceAccount"} <= kinds
    for name, pod in pods.items():
        whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name.lower()}, "spec": pod}
        kubernetes_validate.validate(whole, _VERSION, strict=True)


def test_the_schemas_see_what_is_wrong(documents: list[dict[str, Any]]) -> None:
    server = json.loads(json.dumps(_one(documents, "Deployment", "prefect-server")))
    server["spec"]["template"]["spec"]["containers"][0]["imagePullpolicy"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError, match="imagePullpolicy"):
        kubernetes_validate.validate(server, _VERSION, strict=True)


@pytest.mark.parametrize("folder", _FOLDERS)
def test_kustomize_puts_them_together(repository: Path, folder: str, stages: dict[str, Stage]) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl, which has Kustomize in it")
    command = ["kubectl", "kustomize", str(repository / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = list(yaml.safe_load_all(done.stdout))
    images = re.findall(r"^\s*(?:- )?image: (.+)$", done.stdout, re.MULTILINE)
    assert images
    for image in images:
        target = re.fullmatch(r"REGISTRY/corpusmill-(\w+):0\.1\.0", image)
        assert target, image
        assert target[1] in stages
    maps = {one["metadata"]["name"] for one in made if one["kind"] == "ConfigMap"}
    used = set(re.findall(r"configMap(?:KeyRef)?:\n(?:\s+key: .+\n)?\s+name: (\S+)", done.stdout))
    assert used
    assert used <= maps
    assert {one["metadata"].get("namespace", one["metadata"]["name"]) for one in made} == {"corpusmill"}


def test_commands_are_real(repository: Path, pods: dict[str, dict[str, Any]]) -> None:
    checked = set()
    for pod in pods.values():
        for container in pod["containers"]:
            words = [*container.get("command", []), *container.get("args", [])]
            if not container["image"].endswith("flink"):
                given = _environment(repository, container)
                check_command([_REFERENCE.sub(lambda name, given=given: given[name[1]], word) for word in words])
                checked.add(container["name"])
    assert checked == {"server", "setup", "worker", "workers", "train"}


def test_variables_are_read_by_somebody(repository: Path, pods: dict[str, dict[str, Any]]) -> None:
    for name, pod in pods.items():
        for container in pod["containers"]:
            expanded = set(_REFERENCE.findall(json.dumps(container)))
            unknown = set(_environment(repository, container)) - known_variables() - expanded
            assert not unknown, f"{name}: {unknown}"


def test_prefect_has_the_settings_of_the_compose_file(
    repository: Path, pods: dict[str, dict[str, Any]], services: dict[str, dict[str, Any]]
) -> None:
    for pod, service in (
        ("prefect-server", "prefect-server"),
        ("prefect-setup", "prefect-setup"),
        ("prefect-worker-data", "prefect-worker"),
        ("prefect-worker-gpu", "prefect-worker"),
    ):
        given, there = _environment(repository, pods[pod]["containers"][0]), services[service]["environment"]
        owed = {key for key in there if key.startswith("PREFECT_") or key == "DO_NOT_TRACK"}
        assert owed - set(given) <= {"PREFECT_UI_URL"}, pod
        for key in owed & set(given):
            if not re.search(r"AUTH|CONNECTION_URL", key):
                assert given[key] == there[key], key
    queues = [
        pod["containers"][0]["args"][place + 1]
        for name, pod in pods.items()
        if name.startswith("prefect-worker")
        for place, word in enumerate(pod["containers"][0]["args"])
        if word == "--work-queue"
    ]
    assert sorted(queues) == ["data", "evaluate", "gpu"]


def test_secrets_are_secret_objects(
    repository: Path, documents: list[dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    assert not [one for one in documents if one["kind"] == "Secret"]
    names = set()
    for pod in pods.values():
        for container in pod["containers"]:
            for one in container.get("env", []):
                if re.search(r"PASSWORD|SECRET|AUTH_STRING|CONNECTION_URL|TOKEN", one["name"]):
                    assert set(one) == {"name", "valueFrom"}
                    reference = one["valueFrom"]["secretKeyRef"]
                    names.add((reference["name"], reference["key"]))
    page = (repository / "infra/README.md").read_text()
    (made,) = re.findall(r"kubectl .*create secret generic (\S+)((?:.*\\\n)*.*)", page)
    assert names == {(made[0], key) for key in re.findall(r"--from-literal=(\w+)=", made[1])}


def test_containers_are_restricted(pods: dict[str, dict[str, Any]], stages: dict[str, Stage]) -> None:
    for name, pod in pods.items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            about = container["securityContext"]
            assert about["allowPrivilegeEscalation"] is False
            assert about["capabilities"] == {"drop": ["ALL"]}
            assert about["readOnlyRootFilesystem"] in (True, None)
            user = about.get("runAsUser", pod["securityContext"]["runAsUser"])
            target = container["image"].rpartition("-")[2]
            assert stages[target].all("USER")[-1].split(":")[0] == str(user), (name, container["name"])


def test_containers_have_requests_and_limits(pods: dict[str, dict[str, Any]]) -> None:
    for name, pod in pods.items():
        for container in pod["containers"]:
            for kind in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][kind]), f"{name}: {container['name']}"
            # A container that may grow beyond what was set aside for it is killed when its neighbour needs the memory.
            assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"] or (
                name in {"prefect-server", "prefect-setup"}
            )


def test_volumes_are_mounted_where_they_are_declared(pods: dict[str, dict[str, Any]]) -> None:
    for name, pod in pods.items():
        mounted = {one["name"] for container in pod["containers"] for one in container.get("volumeMounts", [])}
        assert mounted == {one["name"] for one in pod.get("volumes", [])}, name
        for container in pod["containers"]:
            places = {one["mountPath"] for one in container.get("volumeMounts", [])}
            for word in container.get("args", []):
                for path in re.findall(r"(?:^|=)(/(?:etc/corpusmill|data|cache)[^ ]*)", word):
                    assert any(path.startswith(place) for place in places), f"{name}: {path}"


def test_whoever_is_called_listens_there_and_may_be_called(
    repository: Path, documents: list[dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    listens = {"flink-rest": {8081}}  # made by the operator
    for one in documents:
        if one["kind"] == "Service":
            listens[one["metadata"]["name"]] = {port["port"] for port in one["spec"]["ports"]}
    cluster = json.dumps(read_cluster(repository / "infra/kubernetes").model_dump())
    called = 0
    for name, pod in pods.items():
        text = json.dumps(pod) + (cluster if name.startswith("prefect-worker") else "")
        for host, port in re.findall(r"\b(?:train-0\.)?(prefect-server|flink-rest|flink-jobserver|train):(\d+)", text):
            called += 1
            assert int(port) in listens[host], f"{name} calls {host}:{port}"
    assert called >= 8
    labels = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in documents
        if one["kind"] in {"Deployment", "Job"}
    }
    for one in documents:
        if one["kind"] == "Service":
            target = _one(
                documents, "Job" if one["metadata"]["name"] == "train" else "Deployment", one["metadata"]["name"]
            )
            assert one["spec"]["selector"].items() <= labels[target["metadata"]["name"]].items()
            ports = {port["containerPort"] for port in target["spec"]["template"]["spec"]["containers"][0]["ports"]}
            assert listens[one["metadata"]["name"]] <= ports
    for name in ("prefect-setup", "prefect-worker-data", "prefect-worker-gpu"):
        assert labels[name]["corpusmill/asks-prefect"] == "true"
    policies = {one["metadata"]["name"]: one["spec"] for one in documents if one["kind"] == "NetworkPolicy"}
    assert policies["nobody-comes-in"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    for name in ("prefect-server", "flink-jobserver"):
        (rule,) = policies[f"to-{name}"]["ingress"]
        assert {one["port"] for one in rule["ports"]} == listens[name]


def test_flink_has_the_settings_of_flink_up(
    repository: Path, documents: list[dict[str, Any]], pods: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    flink = _one(documents, "FlinkDeployment", "flink")["spec"]
    given = flink["flinkConfiguration"]
    slots = int(given["taskmanager.numberOfTaskSlots"])
    ports = dict.fromkeys(("rest", "rpc", "blob", "job", "artifact", "pool"), 0)
    plan = ClusterPlan(FlinkConfig(task_managers=1, slots=slots), tmp_path, ports, "java", tmp_path)
    wanted = {key: str(value) for key, value in plan.flink_settings().items()}
    for key, value in given.items():
        assert value == wanted.get(key, value), key
    assert set(given) - set(wanted) == {"kubernetes.taskmanager.service-account"}
    version = re.search(r"<flink.version>(\d+)\.(\d+)", (repository / "infra/flink/pom.xml").read_text())
    assert flink["flinkVersion"] == f"v{version[1]}_{version[2]}"
    about, managers = read_cluster(repository / "infra/kubernetes"), flink["taskManager"]["replicas"]
    assert (about.slots, about.slots_of_task_manager, about.environment_type) == (slots * managers, slots, "EXTERNAL")
    pool = pods["flink-taskManager"]["containers"][1]
    assert about.environment_config == f"localhost:{pool['args'][3]}"
    budget = int(pool["env"][0]["value"]) * slots / 1024
    assert budget + 0.5 <= int(pool["resources"]["limits"]["memory"].removesuffix("Gi"))
    fixed = sum(int(value[:-1]) for key, value in given.items() if ".memory." in key and not key.endswith(".min"))
    heap = flink["taskManager"]["resource"]["memory"].removesuffix("g")
    assert int(heap) * 1024 - fixed >= FlinkConfig().heap_mb * slots
    compose = yaml.safe_load((repository / "infra/compose/compose.yaml").read_text())["services"]["flink-jobserver"]
    flags = [pods["flink-jobserver"]["containers"][0]["args"], compose["command"]]
    assert len({tuple(word.partition("=")[0] for word in words) for words in flags}) == 1


def test_runs_get_the_time_to_save(pods: dict[str, dict[str, Any]]) -> None:
    from torch.distributed.run import get_args_parser

    train = pods["train"]
    arguments = get_args_parser().parse_args(train["containers"][0]["args"])
    shutdown = arguments.shutdown_timeout
    assert shutdown >= TrainConfig(steps=1).grace_seconds + 10
    assert train["terminationGracePeriodSeconds"] > shutdown
    for name in ("prefect-worker-data", "prefect-worker-gpu"):
        assert pods[name]["terminationGracePeriodSeconds"] >= UpConfig().grace_seconds
        assert "livenessProbe" not in pods[name]["containers"][0]


def test_machines_and_ranks_are_counted_alike(documents: list[dict[str, Any]], pods: dict[str, dict[str, Any]]) -> None:
    from torch.distributed.run import get_args_parser

    job, (container,) = _one(documents, "Job", "train")["spec"], pods["train"]["containers"]
    arguments = get_args_parser().parse_args(container["args"])
    assert job["completions"] == job["parallelism"] == int(arguments.nnodes)
    assert container["resources"]["limits"]["nvidia.com/gpu"] == int(arguments.nproc_per_node)
    cache = next(one for one in pods["train"]["volumes"] if one["name"] == "cache")["emptyDir"]["sizeLimit"]
    assert int(cache.removesuffix("Gi")) * 2**30 >= TrainConfig(steps=1).cache_bytes * int(arguments.nproc_per_node)


def test_settings_of_deploy_are_right(repository: Path, pods: dict[str, dict[str, Any]]) -> None:
    given = load_config(UpConfig, str(repository / "infra/kubernetes/up.toml"))
    _require_sense(given)
    for name in ("prefect-worker-data", "prefect-worker-gpu"):
        assert given.folder in {one["mountPath"] for one in pods[name]["containers"][0]["volumeMounts"]}
    assert given.gpu_slots == pods["prefect-worker-gpu"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]


def _unknown(schema: dict[str, Any], value: Any, where: str = "") -> Iterator[str]:
    """Fields that a schema does not have: Kubernetes would drop them without a word."""
    if isinstance(value, dict) and "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        for key, one in value.items():
            if key in schema["properties"]:
                yield from _unknown(schema["properties"][key], one, f"{where}.{key}")
            elif where or key not in {"apiVersion", "kind", "metadata"}:
                yield f"{where}.{key}"
    elif isinstance(value, list) and "items" in schema:
        for number, one in enumerate(value):
            yield from _unknown(schema["items"], one, f"{where}[{number}]")


@pytest.mark.slow
def test_flinks_own_kind_keeps_its_schema(documents: list[dict[str, Any]], tmp_path: Path) -> None:
    """The definition lies in the operator's own jar, which Maven has."""
    if shutil.which("mvn") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Maven, and CI=true")
        pytest.skip("no Maven, by which the operator's definitions come")
    artifact = "org.apache.flink:flink-kubernetes-operator-api:1.10.0:jar"
    command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={tmp_path}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout
    (jar,) = tmp_path.glob("*.jar")
    with zipfile.ZipFile(jar) as files:
        text = files.read("META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml")
    (version,) = yaml.load(text, yaml.CSafeLoader)["spec"]["versions"]
    assert version["name"] == "v1beta1"
    schema = version["schema"]["openAPIV3Schema"]
    flink = _one(documents, "FlinkDeployment", "flink")
    jsonschema.validate(flink, schema)
    assert not list(_unknown(schema, flink))
    wrong = {**flink, "spec": {**flink["spec"], "flinkVersoin": "v1_19"}}
    assert list(_unknown(schema, wrong)) == [".spec.flinkVersoin"]
