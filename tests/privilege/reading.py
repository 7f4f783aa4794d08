"""Roles from synthesized templates, resolved as the local stack resolves them; no service has to run."""

from pathlib import Path

from local.resources import Services, resolve
from local.resources.grants import guard
from local.template import Assembly
from tests.privilege.grants import Roles


def read_roles(directory: Path) -> Roles:
    """Return the roles of the functions in a directory of templates."""
    nowhere = Services(
        kafka="",
        database_host="",
        database_port=0,
        cache_host="",
        cache_port=0,
        aws="",
        lambdas="",
        http_api="",
        firehose="",
        athena="",
        directory="",
        receivers="",
        state=directory,
    )
    return Roles(guard(resolve(Assembly.load(directory), nowhere)))
