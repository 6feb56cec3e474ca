"""The end-to-end suite against the gateway of `make dev`, as a process of its own in production mode."""

import os
import sys
from collections.abc import Callable, Iterator

import pytest

from dev.ports import HOST, accepts, random_free, wait_until
from dev.processes import Child
from tests.e2e import CHECKS, Target
from tests.support.servers import Servers
from tests.support.targets import target_at, target_environment

pytestmark = pytest.mark.xdist_group("e2e")


@pytest.fixture(scope="module")
def target(servers: Servers) -> Iterator[Target]:
    port = random_free()
    with target_environment(servers) as environment:
        line = [sys.executable, "-m", "dev.gateway", str(port)]
        gateway = Child("gateway", line, env={**os.environ, **environment})
        try:
            wait_until(lambda: accepts(port) or not gateway.is_running(), 60)
            assert gateway.is_running(), gateway.last_words()
            with target_at(f"http://{HOST}:{port}", servers) as target:
                yield target
        finally:
            gateway.stop()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_local_stack(target: Target, check: Callable[[Target], None]) -> None:
    check(target)
