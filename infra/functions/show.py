"""show: serves the dashboard's page and the API's description, from code that reaches no store."""

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
    """The function that serves the page, and the throttle of each of its routes, for all browsers together."""

    compute: Compute
    throttle: Throttle


class Show(Function):
    """The function that serves files. The numbers in the page come from query, with a key.

    Anyone may ask for the page, so the function may use nothing.
    """

    def __init__(self, scope: Construct, base: Base, settings: ShowProfile) -> None:
        # At once: while a release shifts, a page of one version would load the scripts of another.
        super().__init__(scope, "show", base, settings, synchronous=True, at_once=True)
        self.resource.add_layers(self._page())
        self.door = Door(self.node.id, self.live, dict.fromkeys(ROUTES, settings.throttle))

    def _page(self) -> lambda_.LayerVersion:
        """Ship the page beside the code. Every synthesis builds it: the tested page is the deployed page."""
        with TemporaryDirectory(prefix="sluice-page-") as scratch:
            assemble_page(Path(scratch) / "python")
            return lambda_.LayerVersion(
                self,
                "Page",
                # Copied into the assembly at once, under a hash of its content.
                code=lambda_.Code.from_asset(scratch),
                compatible_runtimes=[RUNTIME],
                compatible_architectures=[ARCHITECTURE],
            )
