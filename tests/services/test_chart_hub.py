"""The hub's part of the chart by the real helm: what is in its objects, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.chart import CHART, OURS, Refused, objects_of, one, render

pytestmark = pytest.mark.services

TOKENS = {"existingSecret": "penstock-hub"}
POSTGRES: dict[str, Any] = {"store": {"url": "postgresql://db/hub"}}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"auth": {}}, "nobody could get in"),
    ({"openToEverybody": True}, "hub.auth has some: leave one out"),
    ({"auth": {**TOKENS, "readKey": "admin-token"}}, "one key for two roles"),
    ({"replicaCount": 2}, "the store is SQLite, to which one process writes"),
    ({"workers": 2}, "hub.workers is 2, and the store is SQLite"),
    ({"replicaCount": 2, **POSTGRES}, "files are on a claim that pods of one node write to"),
    ({"followed": True}, "gateways that follow the hub need a token that may read"),
    ({"store": {"url": "postgresql://me:secret@db/hub"}}, "has a password in it"),
    ({"store": {"existingSecret": "db"}}, "names no key"),
    ({"store": {"existingSecret": "db", "passwordKey": "p"}}, "credentials and no database"),
    ({"store": {"urlKey": "u"}}, "no existingSecret to find them in"),
    ({"store": {**POSTGRES["store"], "existingSecret": "s", "urlKey": "u"}}, "both name a database"),
    ({"terminationGracePeriodSeconds": 39}, "a pod may need 40 seconds"),
    ({"host": "127.0.0.1"}, "nothing outside the pod"),
    ({"podDisruptionBudget": {"minAvailable": 1}}, "hub.podDisruptionBudget allows no pod to go"),
    ({"ingress": {"enabled": True}}, "hub.ingress is enabled and has no hosts"),
    ({"route": {"main": {"enabled": True}}}, "hub.route.main is enabled and has no parentRefs"),
    ({"service": {"nodePort": 30000}}, "hub.service.nodePort is set"),
    ({"extraArgs": ["--store=x"]}, "hub.extraArgs has --store=x"),
    ({"extraEnv": [{"name": "PENSTOCK_HUB_WRITE_TOKEN", "value": "x"}]}, "use hub.auth"),
    ({"extraEnv": [{"name": "PENSTOCK_STORE", "value": "x"}]}, "use the values of hub"),
    ({"extraVolumes": [{"name": "data", "emptyDir": {}}]}, 'two volumes would be called "data"'),
    ({"extraContainers": [{"name": "hub", "image": "x"}]}, 'two containers would be called "hub"'),
    ({"livenessProbe": {"successThreshold": 2}}, "hub.livenessProbe.successThreshold may only be 1"),
    ({"podLabels": {"app.kubernetes.io/component": "x"}}, "hub.podLabels sets"),
]


def hub(**values: Any) -> list[dict[str, Any]]:
    return objects_of(render(values={"hub": {"enabled": True, "auth": TOKENS, **values}}))


def ci(name: str) -> list[dict[str, Any]]:
    return objects_of(render(CHART / "ci" / f"hub-{name}values.yaml"))


def container_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    container: dict[str, Any] = one(objects, "Deployment", "-hub")["spec"]["template"]["spec"]["containers"][0]
    return container


def environment_of(container: dict[str, Any]) -> dict[str, Any]:
    """Values, and for those from Secrets (secret, key)."""
    found = {}
    for entry in container["env"]:
        secret = entry.get("valueFrom", {}).get("secretKeyRef")
        found[entry["name"]] = (secret["name"], secret["key"]) if secret else entry["value"]
    return found


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_values_that_contradict_each_other_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=re.escape(message)) as refused:
        hub(**values)
    assert OURS in str(refused.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gateway": {"enabled": False}}, "there is nothing to install"),
        ({"hub": {"followed": True}}, "hub.enabled is false"),
        ({"gateway": {"enabled": False}, "ingress": {"enabled": True, "hosts": [{"host": "a"}]}}, "no gateway for it"),
        (
            {"hub": {"enabled": True, "auth": TOKENS, "followed": True}, "settings": {"registry": "http://other"}},
            "settings.registry names another",
        ),
        ({"hub": {"enabled": True, "auth": TOKENS}, "serviceMonitor": {"enabled": True}}, "serviceMonitor needs"),
    ],
)
def test_what_does_not_fit_the_rest_of_the_release_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=re.escape(message)):
        render(values=values)


def test_there_is_no_hub_unless_asked_for() -> None:
    assert not [o for o in objects_of(render()) if "hub" in o["metadata"]["name"]]


def test_sqlite_is_on_a_claim_that_is_kept_and_one_pod_at_a_time_writes_it() -> None:
    objects = ci("")
    claim = one(objects, "PersistentVolumeClaim", "-hub")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert one(objects, "Deployment", "-hub")["spec"]["strategy"] == {"type": "Recreate"}
    environment = environment_of(container_of(objects))
    (place,) = [m["mountPath"] for m in container_of(objects)["volumeMounts"] if m["name"] == "data"]
    assert environment["PENSTOCK_STORE"] == place
    assert environment["PENSTOCK_ARTIFACTS"] == f"{place}/artifacts"
    assert not [o for o in objects if o["kind"] == "Job"]


def test_postgresql_and_an_object_store_need_no_claim() -> None:
    objects = ci("postgresql-")
    assert not [o for o in objects if o["kind"] == "PersistentVolumeClaim"]
    deployment = one(objects, "Deployment", "-hub")["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    environment = environment_of(container_of(objects))
    assert environment["PENSTOCK_STORE"] == "postgresql://db.data/penstock"
    assert environment["PGPASSWORD"] == ("penstock-hub-db", "password")
    assert environment["AWS_ACCESS_KEY_ID"] == ("penstock-hub-s3", "AWS_ACCESS_KEY_ID")
    assert environment["AWS_ENDPOINT_URL"] == "https://minio.example.com"
    assert environment["PENSTOCK_HUB_WRITE_TOKEN"] == ("penstock-hub", "write-token")
    migrate = one(objects, "Job", "-hub-migrate")["spec"]["template"]["spec"]
    assert migrate["containers"][0]["args"] == ["hub", "migrate"]
    told = environment_of(migrate["containers"][0])
    assert told == {"PENSTOCK_STORE": ("penstock-hub-owner", "url"), "HOME": "/tmp"}


def test_files_beside_postgresql_are_on_a_claim_of_all_or_of_one() -> None:
    for modes, strategy in (([], "Recreate"), (["ReadWriteMany"], "RollingUpdate")):
        objects = hub(**POSTGRES, persistence={"accessModes": modes})
        assert one(objects, "Deployment", "-hub")["spec"]["strategy"]["type"] == strategy
        assert environment_of(container_of(objects))["PENSTOCK_ARTIFACTS"] == "/var/lib/penstock/artifacts"


def test_an_open_hub_answers_for_its_names_alone() -> None:
    environment = environment_of(container_of(ci("alone-")))
    assert environment["PENSTOCK_HUB_OPEN_TO_EVERYBODY"] == "true"
    service = "r-penstock-hub"
    in_cluster = [service, f"{service}.models", f"{service}.models.svc", f"{service}.models.svc.cluster.local"]
    assert environment["PENSTOCK_HUB_ALLOWED_HOSTS"].split(" ") == [*in_cluster, "hub.example.com"]
    assert "PENSTOCK_HUB_ALLOWED_HOSTS" not in environment_of(container_of(hub()))
    named = environment_of(container_of(ci("postgresql-")))["PENSTOCK_HUB_ALLOWED_HOSTS"].split(" ")
    assert named == [*in_cluster, "hub.example.com", "tracking.internal"]


def test_a_hub_alone_has_nothing_of_a_gateway() -> None:
    objects = ci("alone-")
    components = {o["metadata"]["labels"]["app.kubernetes.io/component"] for o in objects}
    assert components == {"hub", "metrics", "dashboards", "test"}
    groups = one(objects, "PrometheusRule")["spec"]["groups"]
    assert groups
    assert all(group["name"].startswith("penstock-hub") for group in groups)
    (container,) = one(objects, "Pod")["spec"]["containers"]
    assert container["args"] == ["http://r-penstock-hub:80/health"]


def test_rules_about_the_hub_come_with_the_hub() -> None:
    for enabled in (True, False):
        values = {"hub": {"enabled": enabled, "auth": TOKENS}, "prometheusRule": {"enabled": True}}
        groups = one(objects_of(render(values=values)), "PrometheusRule")["spec"]["groups"]
        assert any(group["name"].startswith("penstock-hub") for group in groups) == enabled
        assert any(group["name"] == "penstock-availability" for group in groups)


def test_services_and_monitors_find_the_hubs_pods_and_no_gateways() -> None:
    objects = ci("")
    hubs = one(objects, "Deployment", "-hub")["spec"]["template"]["metadata"]["labels"]
    gateways = one(objects, "Deployment", "r-penstock")["spec"]["template"]["metadata"]["labels"]
    service = one(objects, "Service", "-hub")
    assert service["spec"]["selector"].items() <= hubs.items()
    assert not service["spec"]["selector"].items() <= gateways.items()
    assert not one(objects, "Service", "r-penstock")["spec"]["selector"].items() <= hubs.items()
    monitor = one(objects, "ServiceMonitor", "-hub")["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    assert [o for o in objects if o["kind"] == "Service" and wanted <= o["metadata"]["labels"].items()] == [service]
    assert monitor["endpoints"][0]["authorization"]["credentials"] == {"name": "penstock-hub", "key": "read-token"}


def test_gateways_that_follow_the_hub_reach_it() -> None:
    objects = ci("followed-")
    (gateway,) = one(objects, "Deployment", "r-penstock")["spec"]["template"]["spec"]["containers"]
    environment = environment_of(gateway)
    assert environment["PENSTOCK_REGISTRY"] == "http://r-penstock-hub:80"
    assert environment["MLFLOW_TRACKING_TOKEN"] == ("penstock-hub", "read-token")
    hubs = one(objects, "NetworkPolicy", "-hub")["spec"]
    labels = one(objects, "Deployment", "r-penstock")["spec"]["template"]["metadata"]["labels"]
    (came,) = hubs["ingress"]
    assert any(p["podSelector"]["matchLabels"].items() <= labels.items() for p in came["from"] if "podSelector" in p)
    gateways = one(objects, "NetworkPolicy", "r-penstock")["spec"]
    (go,) = [rule for rule in gateways["egress"] if "to" in rule]
    assert go["to"][0]["podSelector"] == hubs["podSelector"]
    assert environment_of(container_of(objects))["PENSTOCK_STORE"] == ("penstock-hub-db", "url")


def test_nodes_for_gateways_are_not_the_hubs() -> None:
    values = {"nodeSelector": {"gpu": "yes"}, "dnsPolicy": "Default", "hub": {"enabled": True, "auth": TOKENS}}
    pod = one(objects_of(render(values=values)), "Deployment", "-hub")["spec"]["template"]["spec"]
    assert "nodeSelector" not in pod
    assert pod["dnsPolicy"] == "Default"


def test_notes_say_how_to_reach_it() -> None:
    text = '{{ include "penstock/templates/NOTES.txt" . | toJson }}'
    extra = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: notes}}\ndata:\n  message: {text}"

    def notes(name: str) -> str:
        objects = objects_of(render(CHART / "ci" / f"hub-{name}values.yaml", values={"extraObjects": [extra]}))
        return str(one(objects, "ConfigMap", "notes")["data"]["message"])

    assert "MLFLOW_TRACKING_URI=http://r-penstock-hub.models\n" in notes("")
    assert "Key admin-token of Secret penstock-hub may do everything" in notes("")
    assert "exec deploy/r-penstock-hub -- penstock hub token add ann --role write" in notes("")
    assert "Everybody who reaches it may change and delete everything" in notes("alone-")
    assert "curl https://hub.example.com/health" in notes("postgresql-")
    assert "readyz" not in notes("alone-")
