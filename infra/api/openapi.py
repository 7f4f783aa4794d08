"""Builds one document of the API's description from the files in schemas/, with every reference inside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"


def write_openapi(schemas: Path = SCHEMAS) -> bytes:
    """Write the description as JSON, with the schemas it refers to among its components."""
    document: dict[str, Any] = yaml.safe_load((schemas / "openapi.yaml").read_text())
    # The page is served from where the API is.
    document["servers"] = [{"url": "/"}]
    files = {path for reference in _references(document) if (path := reference.partition("#")[0])}
    components = document["components"]["schemas"]
    for path in sorted(files):
        schema = msgspec.json.decode((schemas / path).read_bytes())
        # A component has no `$id` of its own: references would be relative to it.
        components[_component(path)] = {name: value for name, value in schema.items() if name not in ("$id", "$schema")}
    return msgspec.json.encode(_refer(document))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _refer(value: Any) -> Any:
    """Point references to files at the components the files became."""
    if isinstance(value, dict):
        return {name: _point(each) if name == "$ref" else _refer(each) for name, each in value.items()}
    return [_refer(each) for each in value] if isinstance(value, list) else value


def _point(reference: str) -> str:
    path, _, within = reference.partition("#")
    return f"#/components/schemas/{_component(path)}{within}" if path else reference


def _component(path: str) -> str:
    """Name a file among the components: telemetry/1.json is telemetry-1."""
    return path.removesuffix(".json").replace("/", "-")
