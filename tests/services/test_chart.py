"""The chart by the real helm: every file in ci, what is refused, what is in the objects."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.chart import (
    CHART,
    CI_FILES,
    CUSTOM,
    OURS,
    SCHEMAS,
    VERSIONS,
    Refused,
    Validator,
    custom_errors,
    helm,
    objects_of,
    one,
    render,
    require,
)
from services.make_tools import PYTHON

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    made = Validator()
    yield made
    made.close()


def ci(name: str, **options: Any) -> list[dict[str, Any]]:
    return objects_of(render(CHART / "ci" / f"{name}-values.yaml", **options))


def toml_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (config,) = [o for o in objects if o["kind"] == "ConfigMap" and "penstock.toml" in o["data"]]
    return tomllib.loads(config["data"]["penstock.toml"])


def pods_of(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The spec of every pod."""
    bare = [o["spec"] for o in objects if o["kind"] == "Pod"]
    return bare + [o["spec"]["template"]["spec"] for o in objects if o["kind"] in ("Deployment", "Job")]


class TestEveryFileInCi:
    @pytest.mark.parametrize("file", CI_FILES, ids=lambda f: f.stem)
    def test_the_chart_renders_what_two_versions_of_kubernetes_take(self, file: Path, validator: Validator) -> None:
        helm("lint", "--strict", CHART, "-f", file)
        for version in VERSIONS:
            objects = objects_of(render(file, version=version))
            assert {"Deployment", "Service", "ConfigMap"} <= {each["kind"] for each in objects}
            assert validator.errors(objects, version) == []

    def test_custom_resources_are_what_their_schemas_say(self) -> None:
        objects = [o for file in CI_FILES for o in objects_of(render(file)) if o["kind"] in CUSTOM]
        assert {o["kind"] for o in objects} == set(CUSTOM)
        assert custom_errors(objects) == []
        objects[0]["spec"] = {"endpoints": 5, "groups": 5, "scaleTargetRef": 5, "rules": 5}
        assert len(custom_errors(objects)) == 1  # the schemas do look

    def test_the_command_says_the_same(self, tmp_path: Path) -> None:
        """kubernetes-validate as a user runs it, over all files."""
        require(PYTHON)
        files = []
        for file in CI_FILES:
            (tmp_path / file.name).write_text(render(file))
            files.append(tmp_path / file.name)
        command = [str(PYTHON.with_name("kubernetes-validate")), "--strict", "--quiet", "-k", "1.31", *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout
        assert all(re.search(f"WARN .*kind ({'|'.join(CUSTOM)}) ", line) for line in done.stdout.splitlines())

    def test_no_pod_asks_for_more_than_a_restricted_namespace_gives(self) -> None:
        """Pod Security Standards, restricted, of every pod and container that is the chart's own."""
        for file in CI_FILES:
            for pod in pods_of(objects_of(render(file))):
                assert pod["securityContext"]["runAsNonRoot"] is True
                assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
                assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
                assert not any("hostPath" in volume for volume in pod.get("volumes", ()))
                for container in pod["containers"]:
                    if "proxy" not in container["name"]:
                        context = container["securityContext"]
                        assert context["allowPrivilegeEscalation"] is False
                        assert context["capabilities"] == {"drop": ["ALL"]}
                        assert context["readOnlyRootFilesystem"] is True

    def test_kubernetes_own_types_are_those_of_kubernetes(self) -> None:
        """helm/schema/kubernetes.json is what the schemas of kubernetes-validate say."""
        code = "import json, kubernetes_types as k; print(json.dumps(k.extract()))"
        command = [str(require(PYTHON)), "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parent)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == json.loads((CHART.parent / "schema" / "kubernetes.json").read_text())

    def test_the_chart_packs(self, tmp_path: Path) -> None:
        assert "penstock-" in helm("package", CHART, "-d", tmp_path)

    def test_no_secret_is_in_a_config_map(self) -> None:
        objects = ci("models")
        assert toml_of(objects).keys().isdisjoint({"api_token", "registry"})
        (migrate,) = [o for o in objects if o["kind"] == "Job"]
        told = {e["name"]: e for e in migrate["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert told["PENSTOCK_REGISTRY"]["valueFrom"]["secretKeyRef"]["name"] == "penstock-registry-owner"


CALLERS = {"callers": {"existingSecret": "t"}}
REFUSED = [
    ({"autoscaling": {"enabled": True}, "keda": {"enabled": True}}, "both enabled"),
    ({"keda": {"enabled": True}}, "keda has nothing to go by"),
    ({"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}}, "minReplicas (5) is more"),
    ({"autoscaling": {"enabled": True}, "resources": None}, "resources.requests.cpu, which is not set"),
    ({"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": 0}}, "autoscaling has nothing to go by"),
    ({"terminationGracePeriodSeconds": 39}, "a pod may need 40 seconds"),
    ({"settings": {"drain_timeout": 120}}, "is too short"),
    ({"lifecycle": {"preStop": {"sleep": {"seconds": 30}}}}, "preStop sleep 30"),
    ({"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}, "only one may be set"),
    ({"podDisruptionBudget": {"minAvailable": 2}}, "no node could ever be drained"),
    ({"podDisruptionBudget": {"maxUnavailable": "0%"}}, "no node could ever be drained"),
    ({"settings": {"host": "127.0.0.1"}}, "nothing outside the pod"),
    ({"settings": {"port": 0}}, "settings.port is 0"),
    ({"settings": {"admin_port": 8080}}, "both 8080"),
    ({"settings": {"registry": "postgresql://me:secret@db/models"}}, "has a password in it"),
    ({"settings": {"default_model": "churn"}, "models": {"iris": {}}}, "none of models: iris"),
    ({"settings": {"cache": "cache"}}, "no absolute path"),
    ({"registry": {"existingSecret": "s"}}, "names no key"),
    (
        {"registry": {"existingSecret": "s", "urlKey": "u"}, "settings": {"registry": "http://m"}},
        "both name a registry",
    ),
    ({"extraEnv": [{"name": "PENSTOCK_API_TOKEN", "value": "x"}]}, "use auth.existingSecret"),
    (
        {"auth": {"callers": {"existingSecret": "t"}}, "serviceMonitor": {"enabled": True}},
        "Prometheus has no token to send",
    ),
    (
        {"auth": {"callers": {"existingSecret": "t"}}, "extraEnv": [{"name": "PENSTOCK_TOKENS_FILE", "value": "x"}]},
        "use one of them",
    ),
    ({"extraArgs": ["--tokens", "x"]}, "extraArgs has --tokens"),
    ({"extraEnv": [{"name": "PENSTOCK_PORT", "value": "1"}]}, "use settings"),
    ({"extraArgs": ["--port", "9000"]}, "extraArgs has --port"),
    ({"extraVolumes": [{"name": "tmp", "emptyDir": {}}]}, 'two volumes would be called "tmp"'),
    ({"extraContainers": [{"name": "penstock", "image": "x"}]}, 'two containers would be called "penstock"'),
    ({"podLabels": {"app.kubernetes.io/name": "x"}}, "podLabels sets app.kubernetes.io/name"),
    ({"modelCache": {"type": "claim", "accessModes": ["ReadWriteOnce"]}}, "use ReadWriteMany"),
    ({"modelCache": {"existingClaim": "c"}}, "it must be claim"),
    ({"strategy": {"rollingUpdate": {"maxSurge": 0}}}, "no pod could ever be replaced"),
    ({"service": {"nodePort": 30000}}, "it must be NodePort or LoadBalancer"),
    ({"ingress": {"enabled": True}}, "has no hosts"),
    ({"route": {"main": {"enabled": True}}}, "has no parentRefs"),
    ({"migration": {"enabled": True}}, "only a registry in PostgreSQL is migrated"),
    ({"migration": {"enabled": True}, "settings": {"registry": "http://mlflow"}}, "only a registry in PostgreSQL"),
    ({"scoring": {"enabled": True}}, "scoring is enabled and has no model"),
    ({"livenessProbe": {"successThreshold": 2}}, "may only be 1"),
]
UNKNOWN = [
    ({"replicas": 3}, "Additional property replicas is not allowed"),
    ({"settings": {"max_row": 3}}, "Additional property max_row is not allowed"),
    ({"settings": {"api_token": "secret"}}, "Additional property api_token is not allowed"),
    ({"settings": {"max_rows": 0}}, "Must be greater than or equal to 1"),
    ({"settings": {"workers": "two"}}, "Expected: integer, given: string"),
    ({"settings": {"log_format": "xml"}}, "must be one of"),
    ({"settings": {"port": None}}, "port is required"),
    ({"models": {"a/b": {}}}, "Does not match pattern"),
    ({"models": {"a": {"port": 1}}}, "Additional property port is not allowed"),
    ({"service": {"type": "Cluster"}}, "must be one of"),
    ({"service": None}, "service is required"),
    ({"tolerations": [{"key": "a", "operater": "Exists"}]}, "Additional property operater is not allowed"),
    ({"resources": {"limits": {"memory": "1 GB"}}}, "resources.limits.memory"),
    ({"podAnnotations": {"a": True}}, "Expected: string, given: boolean"),
    ({"commonLabels": {"a": "b c"}}, "Does not match pattern"),
]  # fmt: skip


class TestRefusals:
    @pytest.mark.parametrize(("values", "message"), REFUSED, ids=[message for _, message in REFUSED])
    def test_values_that_contradict_each_other_are_refused(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(Refused, match=re.escape(message)) as refused:
            render(values=values)
        assert OURS in str(refused.value)

    @pytest.mark.parametrize(("values", "message"), UNKNOWN, ids=[message for _, message in UNKNOWN])
    def test_values_against_the_schema_are_refused(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(Refused, match=re.escape(message)) as refused:
            render(values=values)
        assert SCHEMAS in str(refused.value)

    def test_everything_is_said_at_once(self) -> None:
        with pytest.raises(Refused, match=r"settings\.port is 0") as refused:
            render(values={"settings": {"port": 0}, "terminationGracePeriodSeconds": 1, "ingress": {"enabled": True}})
        assert str(refused.value).count("\n  - ") == 3

    def test_an_older_cluster_is_refused(self) -> None:
        with pytest.raises(Refused, match="kubeVersion"):
            render(version="1.24")


class TestObjects:
    def test_settings_and_models_are_one_file(self) -> None:
        assert toml_of(ci("models")) == {
            "host": "0.0.0.0", "port": 8080, "admin_port": 8081, "cache": "/var/cache/penstock", "drain_delay": 5,
            "drain_timeout": 30, "log_format": "json", "default_model": "iris", "artifacts": "s3://models/packages",
            "max_inflight_bytes": 268435456, "workers": 2,
            "models": {
                "iris": {},
                "fraud": {"model": "models:/fraud@champion", "max_rows": 256, "timeout": 2.5, "trust_code": True},
            },
        }  # fmt: skip

    def test_an_edit_of_the_settings_rolls_the_pods(self) -> None:
        def sum_of(*sets: str) -> str:
            deployment = one(objects_of(render(sets=sets)), "Deployment")
            return str(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

        assert sum_of() == sum_of("replicaCount=5")
        assert len({sum_of(), sum_of("settings.max_rows=5"), sum_of("models.iris.max_rows=5")}) == 3

    def test_replicas_are_left_to_whatever_scales(self) -> None:
        assert one(ci("default"), "Deployment")["spec"]["replicas"] == 2
        for name in ("autoscaling", "keda"):
            assert "replicas" not in one(ci(name), "Deployment")["spec"]

    def test_probes_ask_the_admin_port_where_there_is_one(self) -> None:
        for name, port in (("default", "admin"), ("one-port", "http")):
            (container,) = one(ci(name), "Deployment")["spec"]["template"]["spec"]["containers"]
            asked = {p: container[p]["httpGet"] for p in ("startupProbe", "readinessProbe", "livenessProbe")}
            assert {p["port"] for p in asked.values()} == {port} & {p["name"] for p in container["ports"]}
            assert [p["path"] for p in asked.values()] == ["/readyz", "/readyz", "/livez"]

    def test_a_probe_may_be_left_out_or_be_another(self) -> None:
        values = {"startupProbe": None, "livenessProbe": {"tcpSocket": {"port": "http"}}}
        (container,) = one(objects_of(render(values=values)), "Deployment")["spec"]["template"]["spec"]["containers"]
        assert "startupProbe" not in container
        assert "httpGet" not in container["livenessProbe"]

    def test_the_admin_port_is_never_on_a_load_balancer(self) -> None:
        services = {o["metadata"]["name"]: o["spec"] for o in ci("load-balancer") if o["kind"] == "Service"}
        assert services["r-penstock"]["type"] == "LoadBalancer"
        assert [p["targetPort"] for p in services["r-penstock"]["ports"]] == ["http"]
        assert services["r-penstock-metrics"]["type"] == "ClusterIP"

    def test_one_port_for_all_is_as_closed_as_predictions_are(self) -> None:
        policy = {"enabled": True, "allowExternal": False}
        for port, rules in ((8081, 2), (None, 1)):
            values = {"networkPolicy": policy, "settings": {"admin_port": port}}
            ingress = one(objects_of(render(values=values)), "NetworkPolicy")["spec"]["ingress"]
            assert len(ingress) == rules
            assert all(rule["from"] for rule in ingress if rule["ports"][0]["port"] == "http")

    def test_services_find_the_gateways_pods_and_no_others(self) -> None:
        objects = ci("scoring")
        labels = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
        jobs = [o["spec"]["template"]["metadata"]["labels"] for o in objects if o["kind"] == "Job"]
        for service in (o for o in objects if o["kind"] == "Service"):
            selector = service["spec"]["selector"]
            assert selector.items() <= labels.items()
            assert not any(selector.items() <= job.items() for job in jobs)

    def test_keda_asks_for_what_waits_in_all_pods(self) -> None:
        scaled = one(ci("keda"), "ScaledObject")["spec"]
        metadata = scaled["triggers"][0]["metadata"]
        pods = 'namespace="models",service="r-penstock-metrics"'
        assert metadata["query"] == f"sum(penstock_open_requests{{{pods}}}) + sum(penstock_queue_rows{{{pods}}})"
        assert (metadata["threshold"], scaled["triggers"][0]["metricType"]) == ("128", "AverageValue")

    def test_prometheus_brings_the_token(self) -> None:
        objects = ci("token")
        (endpoint,) = one(objects, "ServiceMonitor")["spec"]["endpoints"]
        assert endpoint["authorization"]["credentials"] == {"name": "penstock-token", "key": "api-token"}
        selector = one(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
        assert selector.items() <= one(objects, "Service", "-metrics")["metadata"]["labels"].items()

    def test_rules_are_those_of_the_file_less_the_disabled(self) -> None:
        file = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
        rendered = one(ci("monitoring"), "PrometheusRule")["spec"]["groups"]
        gateways = [group for group in file["groups"] if not group["name"].startswith("penstock-hub")]
        assert rendered[:-1] == gateways
        alerts = [rule["alert"] for group in gateways for rule in group["rules"]]
        less = render(values={"prometheusRule": {"enabled": True, "disabled": [alerts[0]]}})
        groups = one(objects_of(less), "PrometheusRule")["spec"]["groups"]
        assert [r["alert"] for g in groups for r in g["rules"] if "alert" in r] == alerts[1:]

    def test_dashboards_are_the_files(self) -> None:
        objects = ci("monitoring")
        maps = [o for o in objects if o["metadata"]["labels"].get("grafana_dashboard") == "1"]
        files = {file.name: file.read_text().strip() for file in (CHART / "dashboards").glob("*.json")}
        assert {name: text for o in maps for name, text in o["data"].items()} == files
        assert all(o["metadata"]["annotations"] == {"grafana_folder": "Models"} for o in maps)

    def test_the_migration_uses_nothing_that_comes_after_it(self) -> None:
        job = one(ci("models"), "Job")
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        pod = job["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == "default"
        assert [list(volume) for volume in pod["volumes"]] == [["name", "emptyDir"]]
        assert pod["containers"][0]["args"] == ["registry", "migrate"]

    def test_shards_are_the_indexes_of_one_job(self) -> None:
        objects = ci("scoring")
        (shards,) = [o for o in objects if o["kind"] == "Job" and "-score-" in o["metadata"]["name"]]
        (finish,) = [o for o in objects if o["kind"] == "Job" and "-finish-" in o["metadata"]["name"]]
        assert (shards["spec"]["completionMode"], shards["spec"]["completions"]) == ("Indexed", 8)
        assert "$(JOB_COMPLETION_INDEX)/8" in shards["spec"]["template"]["spec"]["containers"][0]["args"]
        assert finish["spec"]["template"]["spec"]["containers"][0]["args"][:4] == [
            "score",
            "--finish",
            "-o",
            "s3://outbox/january/",
        ]

    def test_another_job_gets_another_name_and_the_same_one_keeps_its_own(self) -> None:
        def name(*sets: str) -> str:
            return str(next(o for o in ci("scoring", sets=sets) if o["kind"] == "Job")["metadata"]["name"])

        assert name() == name("service.port=81", "settings.max_rows=5")
        assert len({name(), name("scoring.shards=9"), name("image.tag=x")}) == 3

    def test_names_fit_where_names_are_short(self) -> None:
        for each in ci("names", release="r" * 53):
            assert len(each["metadata"]["name"]) <= 63
            assert each["metadata"]["namespace"] == "models"

    def test_openshift_chooses_the_ids(self) -> None:
        for pod in pods_of(ci("openshift")):
            assert not pod["securityContext"].keys() & {"runAsUser", "runAsGroup", "fsGroup"}

    def test_notes_say_what_is_there(self) -> None:
        """`helm template` leaves them out, but they are a template like any other."""
        text = '{{ include "penstock/templates/NOTES.txt" . | toJson }}'
        extra = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: notes}}\ndata:\n  message: {text}"

        def notes(name: str) -> str:
            objects = objects_of(render(CHART / "ci" / f"{name}-values.yaml", values={"extraObjects": [extra]}))
            return str(one(objects, "ConfigMap", "notes")["data"]["message"])

        assert "No models are named" in notes("default")
        assert "Served: fraud, iris." in notes("models")
        assert "port-forward service/r-penstock 8080:80" in notes("default")
        assert "Secret penstock-token" in notes("token")
        assert "job/r-penstock-finish-" in notes("scoring")
