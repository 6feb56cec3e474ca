"""template.yaml: what AWS' own tools say about it, and what it promises, read as data."""

import importlib
import json
import logging
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dev import routing, sam
from lib import aws
from lib.secret_formats import FORMATS
from lib.settings import Settings
from tests.support.database import Database
from tests.support.template import PARAMETERS, Template, load, translate

pytestmark = pytest.mark.xdist_group("lambda")

ROOT = sam.ROOT
# The platform sets these, or they are other platforms', or secrets, which are named and not given.
NOT_IN_TEMPLATE = {
    "holdfast_env", "vercel_env", "aws_lambda_function_name", "database_url", "database_url_unpooled", "pusher_app_id",
    "pusher_key", "pusher_secret", "admin_token", "auth_jwt_secret", "cron_secret", "delivery_budget_ms",
}  # fmt: skip
SECRETS = set(FORMATS)
POLICIES = {
    "DATABASE_URL_SECRET": "ReadDatabaseUrl",
    "PUSHER_SECRET_ID": "ReadChannel",
    "ADMIN_TOKEN_SECRET": "ReadAdminToken",
    "AUTH_JWT_SECRET_ID": "ReadJwtSecret",
}


@pytest.fixture(scope="module")
def template() -> Template:
    return load(ROOT / "template.yaml")


@pytest.fixture(scope="module")
def translated() -> dict[str, Any]:
    """What CloudFormation gets."""
    return translate(ROOT / "template.yaml", PARAMETERS)


def names_in(value: Any, kind: str = "Ref") -> set[str]:
    """What a part of the template refers to."""
    if isinstance(value, dict):
        own = {str(value[kind])} if kind in value else set()
        return own.union(*(names_in(item, kind) for item in value.values()))
    if isinstance(value, list):
        return set[str]().union(*(names_in(item, kind) for item in value))
    return set()


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(sam.sam()), "validate", "--lint", "--template", str(path)]
    return subprocess.run(command, capture_output=True, text=True, env=sam.environment(), cwd=path.parent)


def test_awss_own_tools_find_nothing_wrong() -> None:
    result = validate(ROOT / "template.yaml")
    assert result.returncode == 0 and "valid SAM Template" in result.stdout, result.stdout + result.stderr


def test_they_would_find_a_wrong_property(tmp_path: Path) -> None:
    text = (ROOT / "template.yaml").read_text().replace("MemorySize:", "Memory:", 1)
    (tmp_path / "template.yaml").write_text(text)
    result = validate(tmp_path / "template.yaml")
    assert result.returncode != 0 and "'Memory' was unexpected" in result.stdout + result.stderr


def test_each_module_of_the_api_is_a_function_and_the_clock_has_one(template: Template) -> None:
    served = {f["Environment"]["Variables"]["HOLDFAST_FUNCTION"] for f in template.functions.values()}
    modules = {name.replace("/", ".") for name in routing.find_functions(ROOT / "api")}
    # The clock calls its function itself: no door, no CRON_SECRET.
    assert served == (modules - {"api.cron.reap"}) | {"scheduled.reap"}
    for properties in template.functions.values():
        assert properties["Handler"] == "lib.aws.handler"


def test_each_route_of_the_api_leads_to_the_function_that_has_it(template: Template) -> None:
    for name, properties in template.functions.items():
        module = importlib.import_module(properties["Environment"]["Variables"]["HOLDFAST_FUNCTION"])
        for route in module.app.routes if hasattr(module, "app") else []:
            path = re.sub(r"{\w+}", "7", route.path)
            for method in (*route.methods, "OPTIONS", "PUT"):
                assert template.function_for(method, path) == name, (method, path)
    assert {payload for _, payload in template.routes().values()} == {"2.0"}
    assert template.function_for("GET", "/anything/else") == "Docs"


def test_every_setting_has_a_parameter_with_the_same_default(template: Template) -> None:
    everywhere: dict[str, Any] = {}
    for properties in template.functions.values():
        everywhere |= properties["Environment"]["Variables"]
    assert {name.lower() for name in everywhere} - {"holdfast_function"} == set(Settings.model_fields) - NOT_IN_TEMPLATE
    for name, field in Settings.model_fields.items():
        if name in NOT_IN_TEMPLATE or name.upper() in SECRETS or name == "database_pool_max":
            continue
        default = template.parameters[everywhere[name.upper()]["Ref"]]["Default"]
        assert default == ("" if field.default is None else _written(field.default)), name
    # One request at a time, and a thread that publishes.
    assert template.parameters["DatabasePoolMax"]["Default"] == 2


def _written(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def test_every_parameter_is_described_grouped_and_used(template: Template) -> None:
    groups = template.data["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert [name for group in groups for name in group["Parameters"]] == list(template.parameters)
    assert all(len(parameter["Description"]) > 10 for parameter in template.parameters.values())
    body = {key: value for key, value in template.data.items() if key != "Parameters"}
    assert set(template.parameters) <= names_in(body)


def test_a_function_gets_the_secrets_that_it_needs_and_may_read_no_other(template: Template) -> None:
    needs = {
        "Drops": {"DATABASE_URL_SECRET", "PUSHER_SECRET_ID", "ADMIN_TOKEN_SECRET", "AUTH_JWT_SECRET_ID"},
        "Admin": {"DATABASE_URL_SECRET", "ADMIN_TOKEN_SECRET", "AUTH_JWT_SECRET_ID"},
        "Users": {"DATABASE_URL_SECRET", "ADMIN_TOKEN_SECRET", "AUTH_JWT_SECRET_ID"},
        "Health": {"DATABASE_URL_SECRET"},
        "Realtime": {"PUSHER_SECRET_ID"},
        "Docs": set(),
        "Sweep": {"DATABASE_URL_SECRET", "PUSHER_SECRET_ID"},
    }
    buyers = {"DATABASE_URL_SECRET", "PUSHER_SECRET_ID", "AUTH_JWT_SECRET_ID"}
    for name, properties in template.functions.items():
        wanted = needs.get(name, buyers)
        assert set(properties["Environment"]["Variables"]) & SECRETS == wanted, name
        (role,) = properties["Role"].values()
        policies = template.resources[role[0]]["Properties"]["ManagedPolicyArns"]
        allowed = names_in(policies) | {names[1]["Ref"] for names in _choices(policies)}
        assert allowed - {"AWS::NoValue", "UseKey"} == {"WriteLogs"} | {POLICIES[secret] for secret in wanted}, name


def _choices(policies: list[dict[str, Any]]) -> list[list[Any]]:
    return [policy["Fn::If"] for policy in policies if "Fn::If" in policy]


def test_no_policy_allows_more_than_reading_named_secrets_and_writing_the_log(translated: dict[str, Any]) -> None:
    allowed: dict[str, set[str]] = {}
    for resource in translated["Resources"].values():
        if resource["Type"] == "AWS::IAM::Role":
            assert "Policies" not in resource["Properties"]
            assert not any("AWSLambda" in str(arn) for arn in resource["Properties"]["ManagedPolicyArns"])
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            (statement,) = resource["Properties"]["PolicyDocument"]["Statement"]
            assert statement["Effect"] == "Allow" and "*" not in json.dumps(statement)
            (what,) = names_in(statement["Resource"]) or {statement["Resource"]["Fn::GetAtt"][0]}
            actions = statement["Action"]
            allowed[what] = {actions} if isinstance(actions, str) else set(actions)
    read = {"secretsmanager:GetSecretValue", "ssm:GetParameter"}
    assert allowed == {
        "FunctionLogs": {"logs:CreateLogStream", "logs:PutLogEvents"},
        "DatabaseUrlSecretArn": read,
        "PusherSecretArn": read,
        "AdminTokenSecretArn": read,
        "AuthJwtSecretArn": read,
        "SecretsKeyArn": {"kms:Decrypt"},
    }


def test_only_the_api_and_the_clock_may_invoke(translated: dict[str, Any]) -> None:
    permissions = [r["Properties"] for r in translated["Resources"].values() if r["Type"] == "AWS::Lambda::Permission"]
    assert len(permissions) == 20 - 1
    for permission in permissions:
        assert permission["Action"] == "lambda:InvokeFunction" and permission["SourceArn"]
        wanted = "events.amazonaws.com" if "Sweep" in str(permission["FunctionName"]) else "apigateway.amazonaws.com"
        assert permission["Principal"] == wanted
        assert str(permission["FunctionName"]["Ref"]).endswith("Aliaslive"), "the published version, not the newest"


def test_functions_start_from_snapshots_of_published_versions(translated: dict[str, Any], template: Template) -> None:
    for properties in template.functions.values():
        assert properties["SnapStart"] == {"ApplyOn": {"Ref": "SnapStart"}}
        assert properties["AutoPublishAliasAllProperties"] is True
    assert template.parameters["SnapStart"]["Default"] == "PublishedVersions"
    kinds = [resource["Type"] for resource in translated["Resources"].values()]
    assert kinds.count("AWS::Lambda::Version") == kinds.count("AWS::Lambda::Alias") == len(template.functions) == 10


def test_the_sweep_runs_every_minute_and_fits_its_time_limit(translated: dict[str, Any], template: Template) -> None:
    rule = translated["Resources"]["SweepEveryMinute"]["Properties"]
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert [target["Arn"] for target in rule["Targets"]] == [{"Ref": "SweepAliaslive"}]
    budget = template.parameters["SweepBudgetSeconds"]
    limit = template.functions["Sweep"]["Timeout"]
    assert budget["Default"] > 60 and budget["MaxValue"] + aws.SWEEP_RESERVE_SECONDS <= limit
    again = translated["Resources"]["SweepEventInvokeConfig"]["Properties"]
    assert (again["MaximumRetryAttempts"], again["MaximumEventAgeInSeconds"]) == (0, 60)


def test_a_request_ends_before_the_functions_time_limit(template: Template) -> None:
    longest_ms = (
        template.parameters["DatabaseTimeoutMs"]["MaxValue"] + template.parameters["LambdaDeliveryBudgetMs"]["Default"]
    )
    assert all(f["Timeout"] * 1000 >= longest_ms for f in template.functions.values())
    assert all(f["Timeout"] <= 30 for name, f in template.functions.items() if name != "Sweep"), (
        "an HTTP API waits 30 s"
    )


def test_the_api_is_throttled_and_its_log_holds_no_query(translated: dict[str, Any]) -> None:
    (stage,) = (r["Properties"] for r in translated["Resources"].values() if r["Type"] == "AWS::ApiGatewayV2::Stage")
    assert stage["StageName"] == "$default"
    limits = stage["DefaultRouteSettings"]
    assert limits == {"ThrottlingRateLimit": {"Ref": "ThrottleRate"}, "ThrottlingBurstLimit": {"Ref": "ThrottleBurst"}}
    line = json.loads(stage["AccessLogSettings"]["Format"])
    assert line["path"] == "$context.path" and "query" not in str(line).lower()


def test_logs_are_kept_as_long_as_said_and_no_longer(template: Template) -> None:
    groups = template.of_type("AWS::Logs::LogGroup")
    assert len(groups) == 2
    for group in groups.values():
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    for properties in template.functions.values():
        assert properties["LoggingConfig"]["LogGroup"] == {"Ref": "FunctionLogs"}


def test_errors_of_every_function_raise_the_alarm(template: Template) -> None:
    metrics = template.resources["FunctionErrors"]["Properties"]["Metrics"]
    watched = names_in([metric.get("MetricStat", {}) for metric in metrics])
    assert watched == set(template.functions)
    # CloudWatch's limit: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-limits.md
    assert sum("MetricStat" in metric for metric in metrics) <= 10
    (shown,) = (metric for metric in metrics if metric["ReturnData"])
    assert shown["Expression"] == "SUM(METRICS())"


def test_alarms_watch_figures_that_the_sweep_logs(
    template: Template, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[logging.LogRecord] = []
    logger, handler = logging.getLogger("holdfast"), logging.Handler()
    monkeypatch.setattr(handler, "emit", records.append)
    monkeypatch.setattr(logger, "handlers", [handler])
    logger.setLevel(logging.INFO)
    aws._log_state("request-1")
    (line,) = records
    filters = {name: found["Properties"] for name, found in template.of_type("AWS::Logs::MetricFilter").items()}
    made = {}
    for found in filters.values():
        assert found["FilterPattern"] == f'{{ $.event = "{line.getMessage()}" }}'
        assert found["LogGroupName"] == {"Ref": "FunctionLogs"}
        (metric,) = found["MetricTransformations"]
        assert metric["MetricValue"].removeprefix("$.") in line.fields
        made[metric["MetricName"]] = metric["MetricNamespace"]
    for alarm in ("OverdueHolds", "WaitingEvents"):
        watched = template.resources[alarm]["Properties"]
        assert made[watched["MetricName"]] == watched["Namespace"]
    overdue = template.resources["OverdueHolds"]["Properties"]
    assert overdue["TreatMissingData"] == "breaching", "no sweep is as bad as a late one"
