"""What a deployment may be told, all of it, and its templates."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_cdk import App

from infra.stacks import define
from tests.infra.templates import STACKS

CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/0a-1"
DOMAIN = {"domain": "telemetry.example.org", "certificate": CERTIFICATE}
FIREWALL = {
    "waf": "yes",
    "waf_certificate": "arn:aws:acm:us-east-1:123456789012:certificate/0a-2",
    "client_certificate": "arn:aws:acm:us-east-1:123456789012:certificate/0a-3",
    "truststore": "s3://sluice-example-authorities/cloudfront.pem",
}
RESTORED = {
    "restored_database": "db-RESTORED0123456789ABCDEF",
    "restored_secret": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-0a-1",
}
ZONES = "eu-central-1a,eu-central-1b,eu-central-1c"
OPTIONS = {
    "region": "eu-central-1",
    "zones": ZONES,
    "cidr": "10.9.0.0/18",
    "firehose_mib": "0.25",
    "reserve": "no",
    **DOMAIN,
    **FIREWALL,
    **RESTORED,
}
"""Every option, far from where CloudFront's rules are."""


@dataclass(frozen=True)
class Told:
    """A deployment with options."""

    app: App
    place: Path

    def template(self, stack: str) -> dict[str, Any]:
        """Return one stack's template."""
        found: dict[str, Any] = json.loads(self.file(stack).read_text())
        return found

    def file(self, stack: str) -> Path:
        """Return where it lies."""
        return self.place / f"sluice-proof-{stack}.template.json"


def tell(given: dict[str, object], place: Path) -> Told:
    """Synthesize a deployment."""
    app = define(given, outdir=str(place))
    app.synth()
    return Told(app, place)


def synthesized(outdir: Path, given: dict[str, object]) -> dict[str, dict[str, Any]]:
    """Return the templates of a deployment by their stacks."""
    told = tell(given, outdir)
    stacks = (*STACKS, "firewall") if given.get("waf") == "yes" else STACKS
    return {stack: told.template(stack) for stack in stacks}


def of_type(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the properties of a template's resources of one type."""
    return [each["Properties"] for each in template["Resources"].values() if each["Type"] == kind]
