"""The end-to-end suite against the built Lambda functions, behind the routes of the template."""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e import CHECKS, CRON_SECRET, Target, assert_nothing_leaks
from tests.support.lambda_api import LambdaApi
from tests.support.lambda_runtime import Functions, build
from tests.support.servers import Servers
from tests.support.targets import target_at, target_environment

pytestmark = pytest.mark.xdist_group("lambda")

# The clock invokes its function itself: there is no door that could be shut. tests/test_aws_lambda.py has the others.
NOT_HERE = {"check_doors_are_shut"}


@pytest.fixture(scope="module")
def environment(servers: Servers) -> Iterator[dict[str, str]]:
    with target_environment(servers) as environment:
        yield environment


@pytest.fixture(scope="module")
def functions(environment: dict[str, str]) -> Iterator[Functions]:
    functions = Functions(build(), {}, environment)
    yield functions
    functions.stop()


@pytest.fixture(scope="module")
def target(functions: Functions, servers: Servers) -> Iterator[Target]:
    api = LambdaApi(functions, CRON_SECRET)
    try:
        with target_at(api.url, servers) as target:
            yield target
    finally:
        api.stop()


@pytest.mark.parametrize(
    "check",
    [check for check in CHECKS if check.__name__ not in NOT_HERE],
    ids=lambda check: check.__name__.removeprefix("check_"),
)
def test_the_built_lambda_functions(target: Target, check: Callable[[Target], None]) -> None:
    check(target)


def test_what_is_left_out_exists() -> None:
    assert {check.__name__ for check in CHECKS} >= NOT_HERE


def test_no_secret_is_logged(target: Target, functions: Functions, environment: dict[str, str]) -> None:
    assert_nothing_leaks(target, environment, functions.log)
