"""`make smoke` against the local stack: what it prints, what it leaves behind, and that it notices what is broken."""

import os
import subprocess
import sys
from collections.abc import Callable

import httpx2
import pytest

from dev.npm import ROOT
from dev.ports import random_free
from tests.e2e import ADMIN_TOKEN, CRON_SECRET
from tests.support.database import Database
from tests.support.issuer import Issuer
from tests.support.servers import Gateway


def smoke(url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "dev.smoke", url]
    kept = {name: value for name, value in os.environ.items() if name not in ("ADMIN_TOKEN", "BUYER_TOKEN")}
    return subprocess.run(line, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, timeout=60)


@pytest.fixture
def production(client: httpx2.Client, configure: Callable[..., None]) -> None:
    configure(HOLDFAST_ENV="production", AUTH_MODE="trusted", ADMIN_TOKEN=ADMIN_TOKEN, CRON_SECRET=CRON_SECRET)


def test_a_working_shop_passes_and_is_left_without_an_open_drop(
    gateway: Gateway, production: None, channel: dict[str, str], database: Database
) -> None:
    result = smoke(gateway.url, ADMIN_TOKEN=ADMIN_TOKEN)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert [line[:4] for line in lines[:9]] == ["ok  "] * 9 and all(" ms  " in line for line in lines[:9])
    assert "newPurchase on drop-" in result.stdout and lines[-1].endswith("works")
    assert database.value("select state from drops") == "CANCELLED"
    assert database.value("select count(*) from purchases") == 1
    assert ADMIN_TOKEN not in result.stdout + result.stderr


RECORD_WHETHER_OPEN = """
    create table seen (number bigserial, is_open boolean);
    create function see() returns trigger language plpgsql as $$ begin
        insert into seen (is_open) values (new.state = 'OPEN' and new.drop_start_time <= clock());
        return null;
    end $$;
    create trigger see after insert or update on drops for each row execute function see()
"""


def test_the_drop_is_open_for_its_own_reservation_alone(
    gateway: Gateway, production: None, channel: dict[str, str], database: Database
) -> None:
    database.connection.execute(RECORD_WHETHER_OPEN)
    result = smoke(gateway.url, ADMIN_TOKEN=ADMIN_TOKEN)
    assert result.returncode == 0, result.stdout + result.stderr
    seen = [is_open for (is_open,) in database.rows("select is_open from seen order by number")]
    assert seen[0] is False and seen.count(True) == 1
    assert seen[seen.index(True) + 1 :] == [False, False]  # paused at once, then cancelled


def test_where_buyers_have_tokens_one_is_enough(
    gateway: Gateway, production: None, channel: dict[str, str], database: Database, issuer: Issuer
) -> None:
    result = smoke(gateway.url, ADMIN_TOKEN=ADMIN_TOKEN, BUYER_TOKEN=issuer.token())
    assert result.returncode == 0, result.stdout + result.stderr
    assert database.value("select count(*) from purchases") == 1
    assert issuer.token() not in result.stdout + result.stderr


def test_where_buyers_have_tokens_and_none_is_given_it_says_what_to_set(
    gateway: Gateway, production: None, channel: dict[str, str], issuer: Issuer
) -> None:
    result = smoke(gateway.url, ADMIN_TOKEN=ADMIN_TOKEN)
    assert result.returncode == 1
    assert "FAIL  a user" in result.stdout and "BUYER_TOKEN" in result.stdout


def test_a_wrong_token_fails_and_says_which_step(gateway: Gateway, production: None, channel: dict[str, str]) -> None:
    result = smoke(gateway.url, ADMIN_TOKEN="another")
    assert result.returncode == 1
    assert "FAIL  create a drop" in result.stdout and "401" in result.stdout


def test_a_shop_whose_channel_is_missing_fails_and_its_drop_is_cancelled(
    gateway: Gateway, production: None, database: Database
) -> None:
    result = smoke(gateway.url, ADMIN_TOKEN=ADMIN_TOKEN)
    assert result.returncode == 1
    assert "FAIL  subscribe" in result.stdout and "503" in result.stdout
    assert database.value("select state from drops") == "CANCELLED"


def test_events_that_do_not_arrive_fail(
    gateway: Gateway, production: None, channel: dict[str, str], configure: Callable[..., None]
) -> None:
    """Subscribers find the server; publishers have the wrong secret."""
    configure(PUSHER_SECRET="wrong")
    result = smoke(gateway.url, ADMIN_TOKEN=ADMIN_TOKEN)
    assert result.returncode == 1 and "FAIL  the event arrives" in result.stdout


def test_who_cannot_be_asked_is_another_exit_code() -> None:
    assert smoke(f"http://127.0.0.1:{random_free()}").returncode == 2
    assert smoke("").returncode == 2
