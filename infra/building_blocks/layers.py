"""The layers: our own code as it is, and libraries for arm64 fetched by pip, without Docker."""

import hashlib
import subprocess
import sys
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal

import jsii
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, IgnoreMode, ILocalBundling, Stack, SymlinkFollowMode
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
RUNTIME = lambda_.Runtime.PYTHON_3_13
ARCHITECTURE = lambda_.Architecture.ARM_64
NOT_CODE = ["**/__pycache__", "**/*.pyc", "**/.*"]

Library = Literal["database", "parquet"]
"""What not every function imports: drivers of PostgreSQL and Valkey; pyarrow."""

PYTHON_VERSION = "3.13"
# All four: each library publishes for another one, and pip takes an older release rather than none.
PLATFORMS = ("manylinux_2_34_aarch64", "manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
# Lambda brings the AWS SDK and its HTTP client; ours would be 30 MB of the same, or a mix of both.
IN_THE_RUNTIME = ("boto3", "botocore", "s3transfer", "urllib3")
# AWS SDK for pandas, as AWS publishes it in each region, with pyarrow and numpy built small: pip's pyarrow alone takes
# 151 MB. The version (here of release 3.16.1) goes up with each release of the SDK, and older ones stay.
PANDAS_LAYER = "336392948345:layer:AWSSDKPandas-Python313-Arm64:11"
FUNCTION_MB = 250
"""What a function may have unzipped, with all of its layers."""
OURS_MB = 46
"""What `stream`, `database` and our own take of it. A test measures them, and the doctor the published layer."""


@jsii.implements(ILocalBundling)
class PipInstall:
    """Installs a layer's requirements, in the versions everything else here is tested with."""

    def __init__(self, requirements: Path) -> None:
        self._requirements = requirements

    def try_bundle(self, output_dir: str, *, image: DockerImage, **_options: Any) -> bool:  # noqa: ARG002 - jsii names it
        """Fill the layer's `python` directory."""
        target = Path(output_dir) / "python"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        command += ["--requirement", str(self._requirements), "--constraint", str(CONSTRAINTS)]
        command += ["--target", str(target), "--python-version", PYTHON_VERSION, "--implementation", "cp"]
        command += ["--only-binary=:all:", *(f"--platform={platform}" for platform in PLATFORMS)]
        subprocess.run(command, check=True)
        for package in IN_THE_RUNTIME:
            for leftover in [*target.glob(package), *target.glob(f"{package}-*.dist-info")]:
                rmtree(leftover)
        return True


class Layers(Construct):
    """What functions import: `sluice` with its contracts, the libraries of the stream, the databases and Parquet."""

    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name)
        self.sluice = self._layer(
            "Sluice",
            # The contracts live once, at the top of the repository, and come in through a link.
            lambda_.Code.from_asset(
                str(ROOT / "layers" / "sluice"),
                follow_symlinks=SymlinkFollowMode.ALWAYS,
                exclude=NOT_CODE,
                ignore_mode=IgnoreMode.GLOB,
            ),
        )
        self.stream = self._layer("Stream", self._libraries("stream"))
        self.further: dict[Library, lambda_.ILayerVersion] = {
            "database": self._layer("Database", self._libraries("database")),
            "parquet": lambda_.LayerVersion.from_layer_version_arn(
                self, "Parquet", f"arn:aws:lambda:{Stack.of(self).region}:{PANDAS_LAYER}"
            ),
        }

    def _layer(self, name: str, code: lambda_.Code) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self, name, code=code, compatible_runtimes=[RUNTIME], compatible_architectures=[ARCHITECTURE]
        )

    def _libraries(self, layer: str) -> lambda_.Code:
        source = ROOT / "layers" / layer
        requirements = source / "requirements.txt"
        return lambda_.Code.from_asset(
            str(source),
            # The name of what would be built, from everything that decides it: the same whether or not it is built.
            asset_hash_type=AssetHashType.CUSTOM,
            asset_hash=_digest(
                requirements.read_text(), CONSTRAINTS.read_text(), PYTHON_VERSION, *PLATFORMS, *IN_THE_RUNTIME
            ),
            bundling=BundlingOptions(image=RUNTIME.bundling_image, local=PipInstall(requirements)),
        )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
