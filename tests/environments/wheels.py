"""Small wheels made on the spot, so that environments can be built without any index."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path

# What every environment gets besides what a package lists, as empty stand-ins.
HOST = {"numpy": "2.0", "orjson": "3.10", "pyyaml": "6.0", "cloudpickle": "3.1", "pandas": "2.2"}
_MODULES = {"pyyaml": "yaml"}


def make_wheel(
    directory: Path, name: str, version: str, *, requires: Sequence[str] = (), files: Mapping[str, str] | None = None
) -> Path:
    """A pure-Python wheel of one module that knows its version, or of the given files."""
    stem = f"{name.replace('-', '_')}-{version}"
    module = _MODULES.get(name, name.replace("-", "_"))
    content = dict(files or {f"{module}.py": f"__version__ = {version!r}\n"})
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    content[f"{stem}.dist-info/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    content[f"{stem}.dist-info/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    content[f"{stem}.dist-info/RECORD"] = "".join(f"{path},,\n" for path in content) + f"{stem}.dist-info/RECORD,,\n"
    path = directory / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in content.items():
            archive.writestr(zipfile.ZipInfo(place), text)  # the same bytes each time
    return path


def repack(directory: Path, *names: str) -> None:
    """Wheels of distributions that are installed here, as they are."""
    for name in names:
        found = distribution(name)
        tag = next(line.split(": ")[1] for line in (found.read_text("WHEEL") or "").splitlines() if "Tag: " in line)
        path = directory / f"{name.replace('-', '_')}-{found.version}-{tag}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for file in found.files or ():
                if ".." not in file.parts and "__pycache__" not in file.parts and Path(file.locate()).is_file():
                    archive.write(file.locate(), str(file))


def make_host_wheels(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for name, version in HOST.items():
        make_wheel(directory, name, version)
