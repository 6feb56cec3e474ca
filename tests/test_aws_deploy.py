"""The stack of template.yaml, deployed to AWS as moto plays it: as far as moto does."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.support.lambda_runtime import ROOT
from tests.support.template import PARAMETERS, REGION, translate

pytestmark = pytest.mark.xdist_group("lambda")

# moto passes over these, or does not know them; tests/test_aws_template.py reads them as data.
NOT_IN_MOTO = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::Logs::MetricFilter",
}


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)


@pytest.fixture(scope="module")
def translated() -> dict[str, Any]:
    return translate(ROOT / "template.yaml", PARAMETERS)


@pytest.fixture
def stack(translated: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Deployed; physical ids by logical ids."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        resources = {name: r for name, r in translated["Resources"].items() if r["Type"] not in NOT_IN_MOTO}
        # Without aliases the clock calls the function itself.
        text = json.dumps({**translated, "Resources": resources, "Outputs": {}})
        text = text.replace('{"Ref": "SweepAliaslive"}', '{"Fn::GetAtt": ["Sweep", "Arn"]}')
        code = client("s3")
        code.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        code.put_object(Bucket="bucket", Key="value", Body=b"")
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in PARAMETERS.items()]
        formation = client("cloudformation")
        formation.create_stack(StackName="shop", TemplateBody=text, Parameters=given, Capabilities=["CAPABILITY_IAM"])
        found = formation.describe_stack_resources(StackName="shop")["StackResources"]
        # moto lists the subscription too, which has no id of its own.
        yield {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found if "LogicalResourceId" in r}


def test_the_clock_is_set(stack: dict[str, str]) -> None:
    (rule,) = client("events").list_rules()["Rules"]
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "ENABLED")
    (target,) = client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"].endswith(stack["Sweep"])


def test_logs_are_kept_for_thirty_days(stack: dict[str, str]) -> None:
    groups = {
        group["logGroupName"]: group["retentionInDays"] for group in client("logs").describe_log_groups()["logGroups"]
    }
    assert groups == {"/holdfast/shop/functions": 30, "/holdfast/shop/access": 30}


def test_functions_are_configured_by_the_parameters(stack: dict[str, str]) -> None:
    reserve = client("lambda").get_function_configuration(FunctionName=stack["Reserve"])
    assert (reserve["Runtime"], reserve["MemorySize"], reserve["Timeout"]) == ("python3.12", 1024, 15)
    variables = reserve["Environment"]["Variables"]
    assert variables["DATABASE_URL_SECRET"] == PARAMETERS["DatabaseUrlSecretArn"]
    assert "ADMIN_TOKEN_SECRET" not in variables
    assert (int(variables["LAMBDA_DELIVERY_BUDGET_MS"]), variables["HOLDFAST_FUNCTION"]) == (500, "api.reserve")


def test_policies_name_the_given_secrets_and_this_stacks_log(stack: dict[str, str]) -> None:
    """Which role has which is read as data: moto makes roles without their managed policies."""
    iam = client("iam")
    named: dict[str, str] = {}
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        document = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId="v1")["PolicyVersion"]["Document"]
        (statement,) = document["Statement"]
        named[policy["PolicyName"].split("-")[1]] = statement["Resource"]
    assert ":log-group:/holdfast/shop/functions" in named.pop("WriteLogs")
    assert named == {
        "ReadDatabaseUrl": PARAMETERS["DatabaseUrlSecretArn"],
        "ReadChannel": PARAMETERS["PusherSecretArn"],
        "ReadAdminToken": PARAMETERS["AdminTokenSecretArn"],
        "ReadJwtSecret": PARAMETERS["AuthJwtSecretArn"],
    }


def test_alarms_go_off_by_mail_and_have_their_figures(translated: dict[str, Any], stack: dict[str, str]) -> None:
    """moto has no alarms and filters in stacks: each is made with the properties of the template."""
    logs, watch = client("logs"), client("cloudwatch")
    for name, resource in translated["Resources"].items():
        if resource["Type"] not in ("AWS::Logs::MetricFilter", "AWS::CloudWatch::Alarm"):
            continue
        properties = _plain(resource["Properties"], stack)
        if resource["Type"] == "AWS::Logs::MetricFilter":
            metrics = [
                {key[0].lower() + key[1:]: value for key, value in properties["MetricTransformations"][0].items()}
            ]
            logs.put_metric_filter(
                logGroupName=properties["LogGroupName"],
                filterName=name,
                filterPattern=properties["FilterPattern"],
                metricTransformations=metrics,
            )
        else:
            watch.put_metric_alarm(AlarmName=name, **properties)
    filters = logs.describe_metric_filters(logGroupName="/holdfast/shop/functions")["metricFilters"]
    figures = {metric["metricName"] for found in filters for metric in found["metricTransformations"]}
    alarms = {alarm["AlarmName"]: alarm for alarm in watch.describe_alarms()["MetricAlarms"]}
    assert {alarms["OverdueHolds"]["MetricName"], alarms["WaitingEvents"]["MetricName"]} == figures
    assert set(alarms) == {"OverdueHolds", "WaitingEvents", "ServerErrors", "FunctionErrors"}
    (topic,) = client("sns").list_topics()["Topics"]
    assert all(alarm["AlarmActions"] == [topic["TopicArn"]] for alarm in alarms.values())
    (subscription,) = client("sns").list_subscriptions()["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", PARAMETERS["AlarmEmail"])


def _plain(value: Any, stack: dict[str, str]) -> Any:
    """The few forms that those properties have."""
    if isinstance(value, list):
        return [_plain(item, stack) for item in value]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:  # every condition of the parameters above is true
        return _plain(value["Fn::If"][1], stack)
    if "Fn::Sub" in value:
        return value["Fn::Sub"].replace("${AWS::StackName}", "shop")
    if "Ref" in value:
        return stack.get(value["Ref"], value["Ref"])
    return {key: _plain(item, stack) for key, item in value.items()}
