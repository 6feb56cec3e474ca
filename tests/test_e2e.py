"""The end-to-end suite against the gateway of `make dev`, as a process of its own in production mode."""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e import CHECKS, Target, assert_nothing_leaks
from tests.support.servers import Servers
from tests.support.targets import gateway_process, target_at, target_environment

pytestmark = pytest.mark.xdist_group("e2e")

LINES: list[str] = []


@pytest.fixture(scope="module")
def environment(servers: Servers) -> Iterator[dict[str, str]]:
    with target_environment(servers) as environment:
        yield environment


@pytest.fixture(scope="module")
def target(environment: dict[str, str], servers: Servers) -> Iterator[Target]:
    with gateway_process(environment, LINES.append) as url, target_at(url, servers) as target:
        yield target


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_local_stack(target: Target, check: Callable[[Target], None]) -> None:
    check(target)


def test_no_secret_is_logged(target: Target, environment: dict[str, str]) -> None:
    assert_nothing_leaks(target, environment, lambda: "\n".join(LINES))
