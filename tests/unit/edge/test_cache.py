from typing import Any

import pytest
from redis.exceptions import ConnectionError as CacheConnectionError
from redis.exceptions import NoScriptError, RedisClusterException
from redis.exceptions import TimeoutError as CacheTimeoutError

from sluice.edge.cache import LEAVE_ALONE_SECONDS, Cache, CacheAwayError, Script


class Server:
    """A cache server that fails as configured, and knows no script until it has seen it."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.asked = 0
        self.scripts: set[str] = set()
        self.now = 0.0

    def connect(self) -> Any:
        return self

    def get(self, name: str) -> bytes:
        self.asked += 1
        if self.fails:
            raise self.fails
        return name.encode()

    def evalsha(self, sha1: str, _keys: int, *_arguments: object) -> int:
        if sha1 not in self.scripts:
            raise NoScriptError
        return 1

    def eval(self, text: str, _keys: int, *_arguments: object) -> int:
        self.scripts.add(Script(text).sha1)
        return 2


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.parametrize(
    "error", [CacheConnectionError(), CacheTimeoutError(), RedisClusterException("no node"), OSError("refused")]
)
def test_a_cache_that_failed_is_left_alone_for_a_moment_and_asked_again_after_it(
    server: Server, error: Exception
) -> None:
    cache = Cache(server.connect, clock=lambda: server.now)
    server.fails = error
    for _ in range(3):
        with pytest.raises(CacheAwayError):
            cache.get("a")
    assert server.asked == 1
    server.fails, server.now = None, LEAVE_ALONE_SECONDS
    assert cache.get("a") == b"a"


def test_a_script_the_server_does_not_know_is_sent_once(server: Server) -> None:
    cache, script = Cache(server.connect), Script("return 1")
    assert [cache.run(script, ["key"], (1, 2)) for _ in range(3)] == [2, 1, 1]
