"""IAM authorization of an HTTP API's signed routes: who signed a request, and whether a policy allows its route."""

from datetime import UTC, datetime
from typing import Any

from local.models.config import HttpApiConfig
from local.models.policies import allows
from local.models.signature import BadSignature, ReceivedRequest, verify

INVOKE = "execute-api:Invoke"
SESSION = "local"


class Forbidden(Exception):
    """A request is not admitted; the message is for the log, and the client never learns it."""


class IamAuthorizer:
    """Admits requests of the principals in the config."""

    def __init__(self, config: HttpApiConfig) -> None:
        self._region = config.region
        self._account = config.account
        self._resources = f"arn:aws:execute-api:{config.region}:{config.account}:{config.id}/{config.stage}"
        keys = [(each, principal) for principal in config.principals for each in principal.keys]
        self._secrets = {each.access_key: each.secret_key for each, _ in keys}
        self._principals = {each.access_key: principal for each, principal in keys}

    def admit(self, request: ReceivedRequest, path: str) -> dict[str, Any]:
        """Return what the event says of the principal that signed a request for a route's path, or raise Forbidden."""
        try:
            access_key = verify(request, self._secrets, self._region, datetime.now(UTC))
        except BadSignature as error:
            raise Forbidden(str(error)) from error
        principal = self._principals[access_key]
        resource = f"{self._resources}/{request.method}/{path.removeprefix('/')}"
        if not allows(principal.statements, INVOKE, resource):
            raise Forbidden(f"{principal.role} may not invoke {resource}")
        identity = f"{principal.id}:{SESSION}"
        return {
            "accessKey": access_key,
            "accountId": self._account,
            "callerId": identity,
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": f"arn:aws:sts::{self._account}:assumed-role/{principal.role}/{SESSION}",
            "userId": identity,
        }
