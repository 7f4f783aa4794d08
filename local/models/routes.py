"""Which route of an HTTP API a request takes: the most specific one wins, `$default` takes what is left."""

from collections.abc import Iterable
from dataclasses import dataclass

from local.models.config import RouteConfig
from local.models.throttle import Throttle


@dataclass(frozen=True)
class Route:
    """A route with its throttle."""

    config: RouteConfig
    throttle: Throttle | None


@dataclass(frozen=True)
class Match:
    """A request's route and the values of the route's path parameters."""

    route: Route
    parameters: dict[str, str]


class Router:
    """Finds routes by method and path."""

    def __init__(self, routes: Iterable[RouteConfig]) -> None:
        self._default: Route | None = None
        self._routes: list[tuple[str, list[str], Route]] = []
        for config in routes:
            route = Route(config, None if config.throttle is None else Throttle(config.throttle))
            if config.key == "$default":
                self._default = route
                continue
            method, _, path = config.key.partition(" ")
            self._routes.append((method, _segments(path), route))
        self._routes.sort(key=lambda each: _generality(each[0], each[1]))

    def find(self, method: str, path: str) -> Match | None:
        """The route for a decoded path, or None."""
        segments = _segments(path)
        for wanted, pattern, route in self._routes:
            if wanted in (method, "ANY"):
                parameters = _match(pattern, segments)
                if parameters is not None:
                    return Match(route, parameters)
        return None if self._default is None else Match(self._default, {})


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")


def _generality(method: str, pattern: list[str]) -> tuple[list[int], bool]:
    """Sorts literals before parameters before greedy ones, and a method before ANY."""
    return [2 if part.endswith("+}") else int(part.startswith("{")) for part in pattern], method == "ANY"


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    for position, part in enumerate(pattern):
        if part.endswith("+}"):
            rest = "/".join(segments[position:])
            return {**parameters, part[1:-2]: rest} if rest else None
        if position >= len(segments):
            return None
        if part.startswith("{"):
            if not segments[position]:
                return None
            parameters[part[1:-1]] = segments[position]
        elif part != segments[position]:
            return None
    return parameters if len(pattern) == len(segments) else None
