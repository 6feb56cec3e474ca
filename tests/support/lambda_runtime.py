"""The functions that `sam build` made, each run for real: AWS' Runtime Interface Emulator starts Lambda's own Python
client (awslambdaric) on the built folder, with the environment that the built template gives the function."""

import asyncio
import base64
import hashlib
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dev import sam
from dev.ports import HOST, accepts, random_free, wait_until
from dev.processes import Child
from tests.support.template import Template, load

ROOT = sam.ROOT
BUILD = ROOT / ".local" / "lambda-build"
SHIPPED = ("api", "lib", "scheduled", "dev/lambda")
FILES = ("template.yaml", "requirements-lambda.txt")
INVOKE = "/2015-03-31/functions/function/invocations"
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Build:
    """What `sam build` left: a folder a function, the built template, and the Python that its bytecode is for."""

    folder: Path
    template: Template
    python: str


def build() -> Build:
    """The build of the sources as they are, made anew if they changed. Skips where AWS' emulator does not run."""
    if sam.emulator() is None:
        reason = f"AWS ships no Lambda emulator for {sys.platform} on this processor"
        if os.environ.get("CI"):
            pytest.fail(reason)
        # The emulator is a Linux program; CI is where it runs.
        pytest.skip(reason)
    version, python = build_python()
    stamp, wanted = BUILD / "stamp", _fingerprint(version)
    if not stamp.exists() or stamp.read_text() != wanted:
        environment = {**sam.environment(), "LAMBDA_PYTHON_VERSION": version, "LAMBDA_ARCH": machine()}
        command = [str(sam.sam()), "build", "--build-dir", str(BUILD)]
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr[-3000:]
        stamp.write_text(wanted)
    return Build(BUILD, load(BUILD / "template.yaml"), python)


def build_python() -> tuple[str, str]:
    """Version and program: the template's Python, or where a machine lacks that one, the tests' own."""
    package = importlib.import_module("dev.lambda.package")
    found = package.interpreter()
    if found is not None:
        return package.PYTHON_VERSION, found
    return "{}.{}".format(*sys.version_info), sys.executable


def machine() -> str:
    return "arm64" if os.uname().machine in ("arm64", "aarch64") else "x86_64"


def _fingerprint(version: str) -> str:
    paths = [ROOT / name for name in FILES]
    paths += [path for folder in SHIPPED for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    digest = hashlib.sha256(version.encode())
    for path in sorted(path for path in paths if path.is_file()):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Answer:
    """What an invocation gave back: the function's result, or the error that Lambda would count."""

    body: Any
    ms: float

    @property
    def failed(self) -> bool:
        return isinstance(self.body, dict) and "errorType" in self.body

    @property
    def status(self) -> int:
        assert not self.failed, self.body
        return int(self.body["statusCode"])

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.body["headers"])

    @property
    def text(self) -> str:
        return str(self.body["body"])

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Function:
    """One instance of a built function. It starts at its first event, as on Lambda."""

    def __init__(self, built: Build, name: str, parameters: Mapping[str, str], more: Mapping[str, str]) -> None:
        self.name = name
        self.lines: list[str] = []
        properties = built.template.resources[name]["Properties"]
        task = built.folder / properties["CodeUri"]
        self.port, api_port = random_free(), random_free()
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{task}{os.pathsep}{sam.runtime(built.python)}",
            "LAMBDA_TASK_ROOT": str(task),
            "AWS_LAMBDA_FUNCTION_NAME": f"holdfast-{name}",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(built.template.value(properties["Timeout"], parameters)),
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            **built.template.environment(name, parameters),
            **more,
        }
        command = [sam.emulator(), "--runtime-interface-emulator-address", f"{HOST}:{self.port}"]
        command += ["--runtime-api-address", f"{HOST}:{api_port}"]
        command += [built.python, "-m", "awslambdaric", properties["Handler"]]
        self._child = Child(name, command, env=environment, cwd=task, on_line=self.lines.append)
        assert wait_until(lambda: accepts(self.port), 20), self._child.last_words()

    def invoke(self, event: Any) -> Answer:
        """Hand over one event; anything that JSON can hold."""
        request = urllib.request.Request(f"http://{HOST}:{self.port}{INVOKE}", json.dumps(event).encode())
        began = time.monotonic()
        with urllib.request.urlopen(request, timeout=100) as reply:
            text = reply.read()
        return Answer(json.loads(text), (time.monotonic() - began) * 1000)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return self.invoke(http_event(method, path, body, **more))

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The JSON lines of this name so far."""
        found = [json.loads(line) for line in list(self.lines) if line.startswith('{"time"')]
        return [line for line in found if line["event"] == event]

    def wait_for_log(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        assert wait_until(lambda: len(self.logged(event)) >= count, 5), self.lines[-20:]
        return self.logged(event)

    def runtime_pid(self) -> int:
        """The Python process that the emulator started."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self._child.pid:
                return int(stat.parent.name)
        raise LookupError(self.name)

    def freeze(self) -> None:
        os.kill(self.runtime_pid(), signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.runtime_pid(), signal.SIGCONT)

    def stop(self) -> None:
        self._child.kill()


class Functions:
    """All functions of a build over one database and channel; each is started when first asked for."""

    def __init__(self, built: Build, parameters: Mapping[str, str], more: Mapping[str, str]) -> None:
        self.built = built
        self._parameters, self._more = parameters, more
        self._running: dict[str, Function] = {}

    def __getitem__(self, name: str) -> Function:
        if name not in self._running:
            self._running[name] = Function(self.built, name, self._parameters, self._more)
        return self._running[name]

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """Through the routes of the template, as API Gateway chooses them."""
        return self[self.built.template.function_for(method, path)].call(method, path, body, **more)

    def log(self) -> str:
        """Every line that they and the emulator wrote."""
        return "\n".join(line for function in self._running.values() for line in function.lines)

    def stop(self) -> None:
        for function in self._running.values():
            function.stop()


def http_event(
    method: str,
    path: str,
    body: Any = None,
    *,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    cookies: list[str] | None = None,
    as_base64: bool = False,
) -> dict[str, Any]:
    """What an HTTP API sends (payload format 2.0). A body that is no text is sent as JSON."""
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "api.example.com", "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e"}
        | ({} if body is None or isinstance(body, str) else JSON)
        | {name.lower(): value for name, value in (headers or {}).items()},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdefghij",
            "domainName": "api.example.com",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "requestId": uuid.uuid4().hex,
            "stage": "$default",
        },
        "isBase64Encoded": as_base64,
    }
    if body is not None:
        event["body"] = base64.b64encode(text.encode()).decode() if as_base64 else text
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = dict(re.findall(r"([^&=]+)=([^&]*)", query))
    return event


def schedule_event() -> dict[str, Any]:
    """What an EventBridge rule sends."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-11-22T09:00:00Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:events:eu-central-1:123456789012:rule/holdfast-SweepEveryMinute"],
        "detail": {},
    }


Started = Callable[..., Functions]


@contextmanager
def current_event_loop() -> Iterator[None]:
    """Mangum wants one in the main thread, and would make one that nobody closes."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
