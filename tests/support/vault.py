"""AWS' Secrets Manager and SSM as moto plays them, on a port of this process; a Postgres role with a password."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import psycopg
from moto.core import DEFAULT_ACCOUNT_ID
from moto.secretsmanager.models import SecretsManagerBackend, secretsmanager_backends
from moto.server import ThreadedMotoServer
from moto.ssm.models import SimpleSystemManagerBackend, ssm_backends
from psycopg import sql

from dev.ports import HOST, wait_until
from tests.support.servers import Servers

REGION = "eu-central-1"


@dataclass
class Vault:
    """`reads` has the name of each secret that somebody read, in order."""

    url: str
    reads: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """For processes that are to read here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, **keys)

    def put(self, name: str, value: str) -> str:
        """Make a secret, or give it a new value; its ARN."""
        client = self._client("secretsmanager")
        try:
            return str(client.create_secret(Name=name, SecretString=value)["ARN"])
        except client.exceptions.ResourceExistsException:
            return str(client.put_secret_value(SecretId=name, SecretString=value)["ARN"])

    def put_parameter(self, name: str, value: str) -> str:
        """The same for an SSM SecureString."""
        self._client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
        return f"arn:aws:ssm:{REGION}:{DEFAULT_ACCOUNT_ID}:parameter{name}"


@contextmanager
def open_vault() -> Iterator[Vault]:
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    vault = Vault("http://{}:{}".format(*server.get_host_and_port()))
    read_secret, read_parameter = SecretsManagerBackend.get_secret_value, SimpleSystemManagerBackend.get_parameter

    def counted_secret(self: Any, secret_id: str, *args: Any, **more: Any) -> Any:
        vault.reads.append(secret_id)
        return read_secret(self, secret_id, *args, **more)

    def counted_parameter(self: Any, name: str, *args: Any, **more: Any) -> Any:
        vault.reads.append(name)
        return read_parameter(self, name, *args, **more)

    with (
        mock.patch.object(SecretsManagerBackend, "get_secret_value", counted_secret),
        mock.patch.object(SimpleSystemManagerBackend, "get_parameter", counted_parameter),
    ):
        try:
            yield vault
        finally:
            server.stop()
            for backends in (secretsmanager_backends, ssm_backends):
                backends[DEFAULT_ACCOUNT_ID].reset()


@dataclass
class Role:
    """A superuser with a password, which the server asks for; everybody else comes in without."""

    name: str
    password: str
    servers: Servers

    def url(self, database: str) -> str:
        return f"postgresql://{self.name}:{self.password}@{HOST}:{self.servers.postgres_port}/{database}"

    def change_password(self, password: str) -> None:
        """From now on, for new connections; those of before are ended."""
        with psycopg.connect(self.servers.direct_url("postgres"), autocommit=True) as admin:
            statement = sql.SQL("alter role {} password {}").format(sql.Identifier(self.name), password)
            admin.execute(statement)
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [self.name])
        self.password = password


@contextmanager
def role_with_password(servers: Servers) -> Iterator[Role]:
    role = Role(f"vaulted_{os.getpid()}", "first-password-of-the-role", servers)
    with psycopg.connect(servers.direct_url("postgres"), autocommit=True) as admin:
        statement = sql.SQL("create role {} login superuser password {}")
        admin.execute(statement.format(sql.Identifier(role.name), role.password))
        ((hba_file,),) = admin.execute("show hba_file").fetchall()
        rules = Path(hba_file)
        before = rules.read_text()
        try:
            rules.write_text(f"host all {role.name} {HOST}/32 scram-sha-256\n{before}")
            admin.execute("select pg_reload_conf()")
            assert wait_until(lambda: not _lets_in(role, "wrong"), 10)
            yield role
        finally:
            rules.write_text(before)
            admin.execute("select pg_reload_conf()")
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [role.name])
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(role.name)))


def _lets_in(role: Role, password: str) -> bool:
    try:
        psycopg.connect(role.url("postgres"), password=password).close()
    except psycopg.OperationalError:
        return False
    return True
