"""show: the dashboard's page and the API's description, from code that reaches no store."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.api.door import Door, Throttle
from infra.api.page import assemble_page
from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.layers import ARCHITECTURE, RUNTIME

ROUTES = ("GET /", "GET /assets/{name}", "GET /openapi.json")


@dataclass(frozen=True)
class ShowProfile:
    """The function that serves the page, and how often all browsers together may ask each of its routes."""

    compute: Compute
    throttle: Throttle


class Show(Function):
    """The function that hands out files; what they show comes from query, with a key.

    Anyone may ask for the page, so the function may use nothing.
    """

    def __init__(self, scope: Construct, base: Base, settings: ShowProfile) -> None:
        super().__init__(scope, "show", base, settings, synchronous=True)
        self.resource.add_layers(self._page())
        self.door = Door(self.node.id, self.resource, dict.fromkeys(ROUTES, settings.throttle))

    def _page(self) -> lambda_.LayerVersion:
        """Ship the page beside the code. It is put together at every synthesis: what is tested is what deploys."""
        with TemporaryDirectory(prefix="sluice-page-") as scratch:
            assemble_page(Path(scratch) / "python")
            return lambda_.LayerVersion(
                self,
                "Page",
                # Copied into the assembly here and now, under a name made of its content.
                code=lambda_.Code.from_asset(scratch),
                compatible_runtimes=[RUNTIME],
                compatible_architectures=[ARCHITECTURE],
            )
