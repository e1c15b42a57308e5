"""A software bill of materials: CycloneDX 1.6 as JSON, the same bytes for the same packages."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from flows.licences.installed import PROJECT, Package

__all__ = ["bill_of_materials"]

_NAMESPACE = uuid.UUID("5f1d0c3e-2f6b-4b5c-9b39-6a1d9c6b2c11")


def _component(package: Package) -> Component:
    licence = package.licence
    said = (
        LicenseExpression(licence.expression)
        if licence.expression
        else DisjunctiveLicense(name=licence.text or "unknown")
    )
    address = PackageURL("pypi", None, package.name, package.version)
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=BomRef(str(address)),
        purl=address,
        licenses=[said],
        properties=[Property(name="corpusmill:licence-kind", value=licence.kind)],
    )


def bill_of_materials(packages: Sequence[Package], version: str) -> str:
    """The packages with their licences and what each needs, below our own package.

    Args:
        packages: of the bill.
        version: of our package.

    Returns:
        JSON. It holds no time, and its serial number follows from the content.
    """
    root = Component(
        name=PROJECT,
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=BomRef(f"{PROJECT}@{version}"),
        purl=PackageURL("pypi", None, PROJECT, version),
    )
    components = {package.name: _component(package) for package in packages}
    bom = Bom(components=components.values())
    bom.metadata.component = root
    bom.register_dependency(root, components.values())
    for package in packages:
        bom.register_dependency(
            components[package.name], [components[name] for name in package.needs if name in components]
        )
    content: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del content["serialNumber"], content["metadata"]["timestamp"]
    digest = uuid.uuid5(_NAMESPACE, json.dumps(content, sort_keys=True))
    return json.dumps({**content, "serialNumber": digest.urn}, indent=2, ensure_ascii=False) + "\n"
