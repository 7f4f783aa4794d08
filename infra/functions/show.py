"""show: the dashboard's page and the API's description, from code that reaches no store."""

from pathlib import Path
from tempfile import TemporaryDirectory

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.api.page import assemble_page
from infra.building_blocks.base import Base
from infra.building_blocks.function import Function
from infra.building_blocks.layers import ARCHITECTURE, RUNTIME


class Show(Construct):
    """The function that hands out files; what they show comes from query, with a key."""

    def __init__(self, scope: Construct, name: str, *, base: Base) -> None:
        super().__init__(scope, name)
        self.function = Function(
            self,
            "show",
            base=base,
            compute=base.deployment.profile.show.compute,
            synchronous=True,
            further_layers=[self._page()],
            environment={},
            # Whoever opens the page may ask it, so it is kept away from everything.
            grants=[],
            reaches=[],
        )

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
