"""The `MLmodel` file: MLflow's manifest, read tolerantly and written deterministically.

Unknown keys and flavors survive a read and a write. What is Penstock's own stands under `metadata: penstock:` with a
`format` number; a number that this release does not know is refused, since reading it wrongly would be worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from penstock.errors import PackageInvalid, PackageNotFound, remedy
from penstock.package_file import TEXT_LIMIT, read_package_file
from penstock.payload import shortened
from penstock.signature import Signature

FILE_NAME = "MLmodel"
FORMAT = 1
PYTHON_FUNCTION = "python_function"

# No manifest that a tool writes comes near; a hostile one should not hold up whoever looks at it.
_MOST_VALUES = 20_000
_DEEPEST = 100


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # PyYAML may lack its C library
    """The safe loader in C. What could hold up Python afterwards is refused."""

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        """YAML 1.1 reads 1:2:3 in base 60, in a time that grows with the square of the length."""
        if len(node.value) > 100:
            raise yaml.YAMLError("a whole number of more than 100 digits")
        return self.construct_yaml_int(node)  # type: ignore[no-any-return]


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_whole)


def _check_events(text: bytes) -> None:
    """Refuses aliases, which MLflow writes none of, and nested ones of which blow up to gigabytes; and values within
    values beyond what C can follow on its stack. Raises YAMLError."""
    depth = values = 0
    for event in yaml.parse(text, Loader=_Loader):
        kind = type(event)
        if kind is yaml.ScalarEvent:
            values += 1
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            values, depth = values + 1, depth + 1
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            depth -= 1
        elif kind is yaml.AliasEvent:
            raise yaml.YAMLError("aliases (*name) are not allowed in a manifest")
        if depth > _DEEPEST:
            raise yaml.YAMLError(f"more than {_DEEPEST} values within each other")
        if values > _MOST_VALUES:
            raise yaml.YAMLError(f"more than {_MOST_VALUES:,} values")


class _Dumper(yaml.SafeDumper):
    """A safe dumper that writes a value as often as it occurs, since our reader refuses aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Unicode's own line breaks come back as spaces unless they are escaped."""
        style = '"' if _LINE_BREAKS & set(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_LINE_BREAKS = frozenset("\x85\u2028\u2029")
_Dumper.add_representer(str, _Dumper.represent_str)


def read_yaml(text: bytes, what: str) -> Any:
    """YAML from a package, as plain values; what would blow up is refused. Raises PackageInvalid."""
    try:
        _check_events(text)
        return yaml.load(text, Loader=_Loader)  # a subclass of the safe loader
    except Exception as error:  # explicit tags with odd values fail in PyYAML's own ways: KeyError, AttributeError
        detail = shortened(" ".join(str(error).split()), 300)
        raise PackageInvalid(f"The {what} is not valid YAML: {detail}.") from None


@dataclass(frozen=True, slots=True)
class Manifest:
    """One MLmodel file. `content` is all of it, as plain values; the properties name what Penstock reads."""

    content: Mapping[str, Any]
    signature: Signature | None = field(init=False)

    def __post_init__(self) -> None:
        flavors = self.content.get("flavors")
        if not isinstance(flavors, Mapping) or not all(isinstance(s, Mapping) for s in flavors.values()):
            raise PackageInvalid(
                f"The {FILE_NAME} file has no 'flavors' section.", hint="Is the directory an MLflow model?"
            )
        number = self.penstock.get("format", FORMAT)
        if number != FORMAT:
            raise PackageInvalid(
                f"The package has format {number!r}; this release of Penstock reads format {FORMAT}.",
                hint="Upgrade Penstock.",
            )
        signature = self.content.get("signature")
        if signature is not None and not isinstance(signature, Mapping):
            raise PackageInvalid(f"The 'signature' of the {FILE_NAME} file is not a mapping.")
        hinted = self.content.get("is_signature_from_type_hint") is True
        read = replace(Signature.from_mlflow(signature), hinted=hinted) if signature else None
        if read is not None and (units := self.penstock.get("epoch_units")):
            read = read.with_epoch_units(units)
        object.__setattr__(self, "signature", read)

    @classmethod
    def parse(cls, text: bytes) -> Manifest:
        """Raises PackageInvalid."""
        content = read_yaml(text, f"{FILE_NAME} file")
        if not isinstance(content, Mapping):
            raise PackageInvalid(f"The {FILE_NAME} file does not hold a mapping.")
        return cls(content)

    @classmethod
    def read(cls, package: Path) -> Manifest:
        """Reads the manifest of the package at this directory. Raises PackageNotFound, PackageInvalid."""
        path = package / FILE_NAME
        try:
            text = read_package_file(path)
        except FileNotFoundError:
            if not package.exists():
                raise PackageNotFound(f"There is nothing at {package}.") from None
            raise PackageInvalid(
                f"{package} is not a packaged model: the directory has no {FILE_NAME} file.",
                hint="Package the model first.",
                remedy=remedy("package"),
            ) from None
        except NotADirectoryError:
            raise PackageInvalid(
                f"{package} is a file, not a packaged model (a directory with a {FILE_NAME} file).",
                hint="Package the model first.",
                remedy=remedy("package"),
            ) from None
        try:
            return cls.parse(text)
        except PackageInvalid as error:
            raise PackageInvalid(f"{path}: {error.message}", hint=error.hint) from None

    def dump(self) -> bytes:
        """The file's bytes: block style, keys sorted, UTF-8. Equal content gives equal bytes.

        Raises PackageInvalid where a value is none that a manifest can hold.
        """
        try:
            text: str = yaml.dump(
                dict(self.content), Dumper=_Dumper, default_flow_style=False, sort_keys=True, allow_unicode=True
            )
            content = text.encode()
        except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
            detail = shortened(" ".join(str(error).split()), 300)
            raise PackageInvalid(f"The manifest cannot be written as YAML: {detail}.") from None
        if len(content) > TEXT_LIMIT:
            raise PackageInvalid(
                f"The manifest takes {len(content):,} bytes, where {TEXT_LIMIT:,} are allowed.",
                hint="Leave large values out of the metadata and the model's config.",
            )
        return content

    @property
    def flavors(self) -> Mapping[str, Mapping[str, Any]]:
        return self.content["flavors"]  # type: ignore[no-any-return]

    @property
    def python_function(self) -> Mapping[str, Any] | None:
        """The flavor that says how the package answers, if it has one."""
        return self.flavors.get(PYTHON_FUNCTION)

    @property
    def metadata(self) -> Mapping[str, Any]:
        metadata = self.content.get("metadata")
        return metadata if isinstance(metadata, Mapping) else {}

    @property
    def penstock(self) -> Mapping[str, Any]:
        """What is ours: `format`, `batchable`, `deterministic`, `epoch_units` …"""
        own = self.metadata.get("penstock")
        return own if isinstance(own, Mapping) else {}

    @property
    def batchable(self) -> bool:
        """Whether the packager allows rows of several callers to be predicted together. Proven again at load."""
        return self.penstock.get("batchable") is True

    @property
    def deterministic(self) -> bool:
        return self.penstock.get("deterministic") is not False

    @property
    def run_id(self) -> str:
        return str(self.content.get("run_id") or "")

    @property
    def written_by(self) -> str:
        """Which program made the package, as far as it says."""
        if "version" in self.penstock:
            return f"Penstock {self.penstock['version']}"
        version = self.content.get("mlflow_version")
        return f"MLflow {version}" if version else "an unknown program"
