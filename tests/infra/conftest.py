"""Every profile, synthesized once for all tests."""

import os

# Before anything starts the CDK: cfn-lint, a test of its own here, says more than the built-in validation, and sooner.
os.environ["CDK_VALIDATION"] = "false"

import pytest

from infra.profiles import PROFILES
from tests.infra.options import OPTIONS, Told, tell
from tests.infra.templates import Templates, context, synthesize


@pytest.fixture(scope="session", params=list(PROFILES))
def templates(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The templates of one profile; a test that takes them runs for all."""
    return synthesize(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A deployment with every option."""
    return tell(context("dev", **OPTIONS), tmp_path_factory.mktemp("told"))
