"""Every environment variable that Holdfast reads, with unit and default. `.env.example` and README list the same."""

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Settings(BaseModel):
    """A field for each variable: DATABASE_URL is database_url."""

    # A value in the wrong variable may be a secret: errors name the variable only.
    model_config = ConfigDict(hide_input_in_errors=True)

    # Which environment this is. Set by Vercel and Lambda; HOLDFAST_ENV is for other hosts.
    holdfast_env: Literal["development", "production"] | None = None
    vercel_env: str | None = None
    aws_lambda_function_name: str | None = None
    vercel_git_commit_sha: str = "unknown"

    database_url: str = "postgresql://localhost:5432/holdfast"
    database_url_unpooled: str | None = None
    database_pool_max: int = Field(10, ge=1)
    # Time a request may spend on the database: waiting for a connection, connecting, retries and all.
    database_timeout_ms: int = Field(2500, ge=100)

    pusher_app_id: str | None = None
    pusher_key: str | None = None
    pusher_secret: str | None = None
    pusher_cluster: str = "mt1"
    # Only for a Pusher-compatible server of one's own, such as soketi.
    pusher_host: str | None = None
    pusher_port: int | None = None
    pusher_use_tls: bool = True
    # Where browsers find that server, when it is not where functions find it.
    pusher_client_host: str | None = None
    pusher_client_port: int | None = None
    publish_timeout_ms: int = Field(2000, ge=100)

    stock_update_gap_ms: int = Field(250, ge=0)
    event_lease_seconds: int = Field(5, ge=1)
    # How long a request's background task goes on delivering; on Lambda it delays the reply, so 500 ms there.
    delivery_budget_ms: int = Field(1500, ge=0)
    lambda_delivery_budget_ms: int = Field(500, ge=0)

    # Holds that one buyer may begin in one drop within so many seconds; 0: any number.
    reserve_rate_limit: int = Field(60, ge=0, le=1000)
    reserve_rate_window_seconds: int = Field(60, ge=1, le=86_400)

    sweep_budget_seconds: float = Field(65, ge=0)
    sweep_batch: int = Field(1000, ge=1, le=10_000)
    # How long reservations that ended without a purchase are kept. A hold may last a day; its buyer may ask later.
    retention_days: int | None = Field(None, ge=2)

    auth_mode: Literal["trusted", "jwt"] | None = None
    # Where AUTH_MODE is jwt: what a token must be signed with, who made it, for whom, and what it says.
    auth_jwks_url: str | None = None
    auth_jwt_secret: str | None = None
    auth_issuer: str | None = None
    auth_audience: str | None = None
    auth_authorized_parties: str | None = None
    auth_leeway_seconds: int = Field(30, ge=0, le=300)
    auth_username_claim: str | None = None
    auth_admin_claim: str | None = None
    auth_admin_value: str = "admin"
    # Each may be several, comma-separated, so that one can be changed without an instant in which none works.
    admin_token: str | None = None
    cron_secret: str | None = None
    # On AWS Lambda: the name or ARN of a secret in Secrets Manager, or the ARN of an SSM parameter, that holds the
    # database's URL, the channel's PUSHER_ values, the admin token, AUTH_JWT_SECRET. lib/aws.py reads them.
    database_url_secret: str | None = None
    pusher_secret_id: str | None = None
    admin_token_secret: str | None = None
    auth_jwt_secret_id: str | None = None
    # Comma-separated origins, or *. Empty: * in development, none in production.
    cors_origins: str = ""
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)] = "INFO"

    @property
    def is_production(self) -> bool:
        """Anything that the public can reach, if any sign says so: a stray HOLDFAST_ENV=development opens nothing."""
        return self.holdfast_env == "production" or self.vercel_env in ("production", "preview") or self.on_lambda

    @property
    def awaits_database_url(self) -> bool:
        """Whether the URL is in a secret that could not be read yet."""
        return self.database_url_secret is not None and "database_url" not in self.model_fields_set

    @property
    def awaits_channel(self) -> bool:
        """Whether the channel is in a secret that could not be read yet."""
        return self.pusher_secret_id is not None and self.pusher_secret is None

    @property
    def on_lambda(self) -> bool:
        return self.aws_lambda_function_name is not None

    @property
    def allowed_origins(self) -> list[str]:
        return listed(self.cors_origins) or ([] if self.is_production else ["*"])


def listed(value: str | None) -> list[str]:
    """The entries of a comma-separated setting."""
    return [entry.strip() for entry in (value or "").split(",") if entry.strip()]


_secrets: dict[str, str] = {}


def read(environment: Mapping[str, str | None], **secrets: str) -> Settings:
    """The settings in an environment, where an empty variable counts as none; `secrets` (by field) win over it.

    Raises ValueError, which names the fields that are wrong.
    """
    # pydantic-settings does this too, but importing it takes 14 ms of a cold start, 60 where nothing is compiled.
    names = {name: environment.get(name.upper()) for name in Settings.model_fields}
    return Settings.model_validate({name: value for name, value in names.items() if value} | secrets)


@lru_cache
def settings() -> Settings:
    """The process's settings, read once from its environment; `make dev` and `make migrate` put .env into that.

    Tests that change the environment call `settings.cache_clear()`.
    """
    return read(os.environ, **_secrets)


def adopt(secrets: dict[str, str]) -> None:
    """Use these values from now on, whatever the environment says. They stay out of it: other programs can read it."""
    _secrets.update(secrets)
    settings.cache_clear()
