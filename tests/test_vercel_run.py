"""The built Vercel functions, run by the platform's launcher behind the compiled routes: the end-to-end suite."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e import CHECKS, Target, assert_nothing_leaks
from tests.support.servers import Servers
from tests.support.targets import target_at, target_environment
from tests.support.vercel_build import Build, vercel_build
from tests.support.vercel_function import unpack
from tests.support.vercel_site import Site

__all__ = ["vercel_build"]  # a fixture
pytestmark = pytest.mark.xdist_group("vercel")


@pytest.fixture(scope="module")
def environment(servers: Servers) -> Iterator[dict[str, str]]:
    with target_environment(servers) as environment:
        yield {**environment, "VERCEL_ENV": "production"}


@pytest.fixture(scope="module")
def site(vercel_build: Build, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(vercel_build.folder, tmp_path_factory.mktemp("task"), vercel_build.python, environment)
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture(scope="module")
def target(site: Site, servers: Servers) -> Iterator[Target]:
    with target_at(site.url, servers) as target:
        yield target


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_built_functions(target: Target, check: Callable[[Target], None]) -> None:
    check(target)


def test_pages_have_their_headers_and_sources_are_not_served(target: Target) -> None:
    page = target.client.get("/")
    assert page.status_code == 200 and "<html" in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert target.client.get("/vendor/pusher.min.js").status_code == 200
    for path in ("/lib/db.py", "/sql/functions.sql", "/vercel.json", "/pyproject.toml", "/uv.lock", "/index.html.py"):
        assert target.client.get(path).status_code == 404, path
    assert target.client.post("/api/reserve.py").headers["location"] == "/api/reserve"


def test_the_platforms_request_id_is_carried_to_reply_and_log(target: Target, site: Site) -> None:
    assert target.client.get("/api/health").headers["x-request-id"] == "fra1::iad1::test-1"
    assert '"requestId": "fra1::iad1::test-1"' in site.log()


def test_no_secret_is_logged(target: Target, site: Site, environment: dict[str, str]) -> None:
    assert_nothing_leaks(target, environment, site.log)
    assert '"route": "/api/cron/reap"' in site.log()


def test_no_function_imports_what_it_does_not_need_at_once(vercel_build: Build, tmp_path: Path) -> None:
    """mangum and boto3 never; pusher and requests only when there is something to publish."""
    unpack(vercel_build.folder, vercel_build.functions()["api/reserve"], tmp_path)
    code = "import sys; sys.path.insert(0, '_vendor'); __import__(sys.argv[1]); print(*sys.modules)"
    for name in vercel_build.functions():
        line = [str(vercel_build.python), "-c", code, name.replace("/", ".")]
        modules = set(subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split())
        assert {"fastapi", "lib.http"} <= modules
        assert not {"mangum", "boto3", "botocore", "pusher", "requests", "lib.aws", "dev"} & modules, name


def test_a_production_without_settings_opens_no_door(vercel_build: Build, tmp_path: Path, servers: Servers) -> None:
    with target_environment(servers) as environment:
        bare = {"DATABASE_URL": environment["DATABASE_URL"], "VERCEL_ENV": "production"}
        site = Site(vercel_build.folder, tmp_path, vercel_build.python, bare)
        try:
            with httpx2.Client(base_url=site.url, timeout=60) as client:
                drop = {"name": "x", "price": 1, "totalStock": 1}
                answers = [client.post("/api/drops", json=drop), client.get("/api/cron/reap")]
                answers.append(client.post("/api/reserve/1", json={"userId": 1}))
                assert [a.json()["code"] for a in answers] == ["not_configured"] * 3
        finally:
            site.stop()
