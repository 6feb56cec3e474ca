"""template.yaml as data: its functions for CloudFormation's short forms, and what it gives each Lambda function."""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dev import sam

REGION = "eu-central-1"
SECRET = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:"
PARAMETERS = {
    "DatabaseUrlSecretArn": f"{SECRET}holdfast/database-AbCdEf",
    "PusherSecretArn": f"{SECRET}holdfast/channel-AbCdEf",
    "AdminTokenSecretArn": f"{SECRET}holdfast/admin-AbCdEf",
    "AuthJwtSecretArn": f"{SECRET}holdfast/jwt-AbCdEf",
    "AlarmEmail": "shop@example.com",
}


class _Loader(yaml.SafeLoader):
    """Reads `!Ref x` as {"Ref": x} and `!Sub x` as {"Fn::Sub": x}, as CloudFormation does."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


@dataclass(frozen=True)
class Template:
    data: dict[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.data["Parameters"])

    @property
    def resources(self) -> dict[str, Any]:
        """By logical id, functions with the globals merged in."""
        shared = self.data.get("Globals", {}).get("Function", {})
        found = {}
        for name, resource in self.data["Resources"].items():
            if resource["Type"] == "AWS::Serverless::Function":
                properties = _merged(shared, resource["Properties"])
                resource = {**resource, "Properties": properties}
            found[name] = resource
        return found

    def of_type(self, kind: str) -> dict[str, Any]:
        return {name: found for name, found in self.resources.items() if found["Type"] == kind}

    @property
    def functions(self) -> dict[str, Any]:
        return {name: found["Properties"] for name, found in self.of_type("AWS::Serverless::Function").items()}

    def value(self, value: Any, parameters: Mapping[str, str]) -> Any:
        """A literal, or what a reference to a parameter gives."""
        if isinstance(value, dict):
            (name,) = value.values()
            return parameters.get(name, self.parameters[name].get("Default", ""))
        return value

    def environment(self, function: str, parameters: Mapping[str, str]) -> dict[str, str]:
        """A function's environment, for these values of the parameters and the defaults of the others."""
        variables = self.functions[function]["Environment"]["Variables"]
        return {name: str(self.value(value, parameters)) for name, value in variables.items()}

    def routes(self) -> dict[str, tuple[str, str]]:
        """By route key ("ANY /api/drops"): the function, and its payload format."""
        found = {}
        for name, function in self.functions.items():
            for event in function["Events"].values():
                if event["Type"] == "HttpApi":
                    more = event["Properties"]
                    key = f"{more['Method']} {more['Path']}" if "Path" in more else "$default"
                    found[key] = (name, more["PayloadFormatVersion"])
        return found

    def function_for(self, method: str, path: str) -> str:
        """API Gateway's choice: the most literal route of those that match, else $default."""
        matching = {}
        for key, (name, _) in self.routes().items():
            wanted, _, pattern = key.partition(" ")
            expression = re.sub(r"\{\w+\}", "[^/]+", pattern)
            if key != "$default" and wanted in ("ANY", method) and re.fullmatch(expression, path):
                matching[pattern.count("{")] = name
        return matching[min(matching)] if matching else self.routes()["$default"][0]


def _merged(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """As SAM merges globals: dictionaries by key, lists one after the other."""
    result = dict(shared)
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict) and "Ref" not in value:
            result[key] = _merged(result[key], value)
        else:
            result[key] = value
    return result


def load(path: Path) -> Template:
    return Template(_Loader(path.read_text()).get_single_data())


def translate(path: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    """What CloudFormation gets, by AWS' own translator."""
    command = [sam.sam().with_name("python"), Path(__file__).with_name("translate.py"), path]
    run = subprocess.run(
        [*map(str, command), json.dumps(parameters)], capture_output=True, text=True, env=sam.environment()
    )
    assert run.returncode == 0, run.stderr[-2000:]
    found: dict[str, Any] = json.loads(run.stdout)
    return found
