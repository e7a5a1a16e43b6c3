"""The chart through the real helm, and what Kubernetes' and the custom resources' schemas say of what comes out."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from services.make_tools import HELM, NODE_MODULES, PYTHON, REMEDY
from services.tools import give_up

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "penstock"
CI_FILES = sorted((CHART / "ci").glob("*-values.yaml"))
# The oldest that Chart.yaml names, and the newest whose schemas there are.
VERSIONS = ("1.25", "1.37")
CUSTOM = ("ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute")
OURS = "The values of Penstock cannot be used"
SCHEMAS = "values don't meet the specifications of the schema"


class Refused(Exception):
    """helm's stderr."""


def require(path: Path) -> Path:
    """The path of something in build/services, if it is there."""
    if not path.exists():
        give_up(f"{path} is missing: {REMEDY}")
    return path


def helm(*arguments: object) -> str:
    command = [str(require(HELM)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise Refused(done.stderr + done.stdout)
    return done.stdout


def render(
    *files: Path, values: Any = None, version: str = "1.31", release: str = "r", sets: Sequence[str] = ()
) -> str:
    """`helm template` with values from files, then those given, then --set arguments. Raises Refused."""
    arguments: list[object] = ["template", release, CHART, "--namespace", "models", "--kube-version", version]
    for file in files:
        arguments += ["-f", file]
    for each in sets:
        arguments += ["--set", each]
    if values is None:
        return helm(*arguments)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as given:
        yaml.dump(values, given, Dumper=_QuotingDumper)
        given.flush()
        return helm(*arguments, "-f", given.name)


def objects_of(text: str) -> list[dict[str, Any]]:
    """The rendered objects. A key that stands twice is an error, where PyYAML would take the last."""
    return [each for each in yaml.load_all(text, Loader=_StrictLoader) if each]


def one(objects: list[dict[str, Any]], kind: str, ending: str = "") -> dict[str, Any]:
    """The only one of a kind, or the one whose name ends so."""
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"].endswith(ending)]
    return found


class _StrictLoader(yaml.SafeLoader):
    pass


class _QuotingDumper(yaml.SafeDumper):
    """Puts text between quotes: Go's YAML takes more words for numbers than Python's."""


_QuotingDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.YAMLError(f"{twice} stand twice, {node.start_mark}")
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class Validator:
    """kubernetes-validate in a process that stays."""

    def __init__(self) -> None:
        python = require(PYTHON)
        script = Path(__file__).with_name("validate.py")
        self._process = subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def errors(self, objects: list[dict[str, Any]], version: str) -> list[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"version": version, "objects": objects}) + "\n")
        self._process.stdin.flush()
        answer: list[str] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate(timeout=30)


def custom_errors(objects: list[dict[str, Any]]) -> list[str]:
    """What the schemas of custom resources say of those among the objects."""
    custom = [each for each in objects if each["kind"] in CUSTOM]
    require(NODE_MODULES / "@kubernetes-models")
    script = Path(__file__).with_name("check_resources.mjs").read_text()
    command = ["node", "--input-type=module", "--eval", script]
    try:
        done = subprocess.run(
            command, input=json.dumps(custom), capture_output=True, text=True, timeout=120, cwd=NODE_MODULES.parent
        )
    except FileNotFoundError:
        give_up(f"node is missing: {REMEDY}")
    assert done.returncode == 0, done.stderr
    answer: list[str] = json.loads(done.stdout)
    return answer
