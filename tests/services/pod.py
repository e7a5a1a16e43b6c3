"""A rendered container run as a process: its arguments, its environment and nothing else, its mounts as directories.

What a kubelet would do with the same text, less the container: a path below a mount stands for one below a directory of
the test's, in arguments, variables and mounted files alike.
"""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

Secrets = Mapping[str, Mapping[str, str]]
_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")


class Pod:
    """The first container of a pod's spec."""

    def __init__(
        self,
        spec: dict[str, Any],
        place: Path,
        *,
        config_maps: Secrets | None = None,
        secrets: Secrets | None = None,
        mounts: Mapping[str, Path] | None = None,
        index: int | None = None,
    ) -> None:
        """`mounts` are directories for volumes by name; others are made below `place`. `index` is what the controller
        of an Indexed Job gives to a pod."""
        self.container = spec["containers"][0]
        self.grace = float(spec.get("terminationGracePeriodSeconds", 30))
        self._place = place
        self._paths: dict[str, Path] = {}
        self._files: dict[Path, str] = {}
        for mount in self.container.get("volumeMounts", []):
            volume = next(v for v in spec["volumes"] if v["name"] == mount["name"])
            directory = (mounts or {}).get(volume["name"], place / volume["name"])
            directory.mkdir(parents=True, exist_ok=True)
            self._paths[mount["mountPath"]] = directory
            if "configMap" in volume:
                self._write(directory, (config_maps or {})[volume["configMap"]["name"]])
            if "secret" in volume:
                content = (secrets or {})[volume["secret"]["secretName"]]
                self._write(directory, {each["path"]: content[each["key"]] for each in volume["secret"]["items"]})
        self.environment = self._environment(secrets or {}, index)
        self.process: subprocess.Popen[str] | None = None

    def _write(self, directory: Path, files: Mapping[str, str]) -> None:
        self._files |= {directory / name: text for name, text in files.items()}

    def _environment(self, secrets: Secrets, index: int | None) -> dict[str, str]:
        found = {} if index is None else {"JOB_COMPLETION_INDEX": str(index)}
        for entry in self.container.get("env", []):
            if "value" in entry:
                found[entry["name"]] = self._here(entry["value"])
            else:
                reference = entry["valueFrom"]["secretKeyRef"]
                encoded = base64.b64encode(secrets[reference["name"]][reference["key"]].encode())
                found[entry["name"]] = base64.b64decode(encoded).decode()
        return found

    def _here(self, text: str) -> str:
        """Paths below mounts as the directories that stand for them; of two mounts the longer one."""
        mounts = "|".join(re.escape(mount) for mount in sorted(self._paths, key=len, reverse=True))
        if not mounts:
            return text
        return re.sub(rf"(?<![\w.-])({mounts})(?![\w.-])", lambda m: str(self._paths[m[1]]), text)

    def file(self, path: str) -> Path:
        """Where the file at this path of the container is."""
        return Path(self._here(path))

    def start(self) -> None:
        """As the image's entrypoint does: penstock, with the container's arguments."""
        for file, text in self._files.items():
            file.write_text(self._here(text))
        arguments = [_VARIABLE.sub(lambda m: self.environment[m[1]], self._here(a)) for a in self.container["args"]]
        penstock = Path(sys.executable).with_name("penstock")
        with (self._place / "log").open("w") as log:
            self.process = subprocess.Popen(
                [penstock, *arguments], env={"PATH": "/usr/bin:/bin", **self.environment}, cwd=self._place, text=True,
                stdout=log, stderr=log,
            )  # fmt: skip

    def run(self, seconds: float = 120) -> int:
        """For a Job: to its end. Returns the exit code."""
        self.start()
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        finally:
            self.stop()

    def port(self, name: str) -> int:
        (found,) = [p["containerPort"] for p in self.container["ports"] if p["name"] == name]
        return int(found)

    def probe(self, name: str) -> bool:
        """One look, as the kubelet's: no credentials, and any 2xx or 3xx is good."""
        asked = self.container[name]["httpGet"]
        try:
            answer = httpx.get(
                f"http://127.0.0.1:{self.port(asked['port'])}{asked['path']}",
                timeout=self.container[name]["timeoutSeconds"],
            )
        except httpx.HTTPError:
            return False
        return 200 <= answer.status_code < 400

    def wait_started(self) -> None:
        """Until the startup probe succeeds, for as long as it allows."""
        assert self.process is not None
        probe = self.container["startupProbe"]
        deadline = time.monotonic() + probe["periodSeconds"] * probe["failureThreshold"]
        while not self.probe("startupProbe"):
            assert self.process.poll() is None, self.stderr
            assert time.monotonic() < deadline, self.stderr
            time.sleep(0.05)

    @property
    def stderr(self) -> str:
        return (self._place / "log").read_text()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
