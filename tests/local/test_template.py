"""Templates, read and resolved without AWS."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.template import ACCOUNT, Assembly, Resolver, Resource, TemplateError

DATA = {
    "Parameters": {"Size": {"Type": "Number", "Default": 3}, "Boot": {"Type": "AWS::SSM::Parameter::Value<String>"}},
    "Conditions": {
        "Here": {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-west-1"]},
        "There": {"Fn::Not": [{"Condition": "Here"}]},
        "Both": {"Fn::And": [{"Condition": "Here"}, {"Condition": "There"}]},
        "Either": {"Fn::Or": [{"Condition": "Here"}, {"Condition": "There"}]},
    },
    "Resources": {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "raw"}},
        "Away": {"Type": "AWS::S3::Bucket", "Condition": "There"},
    },
    "Outputs": {"BucketArn": {"Value": {"Fn::GetAtt": ["Bucket", "Arn"]}, "Export": {"Name": "data:BucketArn"}}},
}
APP = {
    "Resources": {"Function": {"Type": "AWS::Lambda::Function", "Properties": {"Nested": {"Name": {"Ref": "Name"}}}}}
}
ATTRIBUTES = {
    ("data", "Bucket", "Ref"): "raw",
    ("data", "Bucket", "Arn"): "arn:aws:s3:::raw",
    ("data", "Database", "Endpoint.Port"): "5432",
}


def resolved(value: Any, stack: str = "data") -> Any:
    resolver = Resolver(Assembly.of({"data": DATA, "app": APP}), ATTRIBUTES, "eu-west-1")
    return resolver.value(value, stack, "here")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ({"Ref": "Bucket"}, "raw"),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "arn:aws:s3:::raw"),
        ({"Fn::GetAtt": "Database.Endpoint.Port"}, "5432"),
        ({"Ref": "Size"}, 3),
        ({"Ref": "AWS::AccountId"}, ACCOUNT),
        ({"Fn::Join": [":", ["a", {"Ref": "AWS::Region"}, {"Ref": "Size"}]]}, "a:eu-west-1:3"),
        ({"Fn::Sub": "${AWS::Partition}/${Bucket}/${Bucket.Arn}/${!Kept}"}, "aws/raw/arn:aws:s3:::raw/${Kept}"),
        ({"Fn::Sub": ["${Own}-${Bucket}", {"Own": {"Ref": "AWS::StackName"}}]}, "data-raw"),
        ({"Fn::Select": ["1", {"Fn::Split": [":", "a:b:c"]}]}, "b"),
        ({"Fn::Base64": {"Ref": "Bucket"}}, "cmF3"),
        ({"Fn::If": ["Here", "yes", "no"]}, "yes"),
        ({"Fn::If": ["Both", "yes", {"Ref": "Bucket"}]}, "raw"),
        ({"Fn::If": ["Either", "yes", "no"]}, "yes"),
        ({"kept": 1, "gone": {"Ref": "AWS::NoValue"}, "list": [1, {"Ref": "AWS::NoValue"}]}, {"kept": 1, "list": [1]}),
    ],
)
def test_values_are_resolved_as_cloudformation_does(value: Any, expected: Any) -> None:
    assert resolved(value) == expected


def test_an_import_is_resolved_in_the_stack_that_exports() -> None:
    assert resolved({"Fn::ImportValue": "data:BucketArn"}, stack="app") == "arn:aws:s3:::raw"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"Ref": "Missing"}, r"here: Ref of Missing \(no such resource\) has no value"),
        ({"Fn::GetAtt": ["Bucket", "Color"]}, r"here: Color of Bucket \(AWS::S3::Bucket\) has no value"),
        ({"Ref": "Boot"}, "here: parameter Boot has no value"),
        ({"Fn::ImportValue": "elsewhere"}, "here: no stack exports elsewhere"),
        ({"Fn::Transform": {}}, "here: Fn::Transform is not resolved"),
        ({"deep": [{"down": {"Ref": "Missing"}}]}, r"here\.deep\.down: Ref of Missing"),
    ],
)
def test_what_cannot_be_resolved_is_an_error_that_says_where(value: Any, complaint: str) -> None:
    with pytest.raises(TemplateError, match=complaint):
        resolved(value)


def test_a_property_is_found_by_its_path_and_named_in_errors() -> None:
    assembly = Assembly.of({"app": APP})
    (function,) = assembly.resources("AWS::Lambda::Function")
    known = Resolver(assembly, {("app", "Name", "Ref"): "n"}, "us-east-1")

    assert known.property(function, "Nested.Name") == "n"
    assert known.property(function, "Nested.Other", 5) == 5
    with pytest.raises(TemplateError, match=r"app/Function \(AWS::Lambda::Function\) has no Other\.Name"):
        known.required(function, "Other.Name")
    with pytest.raises(TemplateError, match=r"app/Function \(AWS::Lambda::Function\) Nested\.Name: Ref of Name"):
        Resolver(assembly, {}, "us-east-1").property(function, "Nested.Name")


def test_a_resource_exists_only_where_its_condition_holds() -> None:
    assembly = Assembly.of({"data": DATA})
    (here, away) = assembly.resources()

    assert Resolver(assembly, {}, "eu-west-1").exists(here)
    assert not Resolver(assembly, {}, "eu-west-1").exists(away)
    assert Resolver(assembly, {}, "us-east-1").exists(away)


def test_an_assembly_is_read_by_its_manifest(tmp_path: Path) -> None:
    nested = tmp_path / "assembly-Stage"
    for directory, artifacts in {
        tmp_path: {
            "data": {
                "type": "aws:cloudformation:stack",
                "environment": "aws://unknown-account/eu-west-1",
                "properties": {"templateFile": "data.json", "stackName": "sluice-data"},
            },
            "data.assets": {"type": "cdk:asset-manifest", "properties": {"file": "data.assets.json"}},
            "Stage": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "assembly-Stage"}},
            "Tree": {"type": "cdk:tree"},
        },
        nested: {
            "more": {
                "type": "aws:cloudformation:stack",
                "environment": "aws://unknown-account/unknown-region",
                "properties": {"templateFile": "data.json"},
            }
        },
    }.items():
        directory.mkdir(exist_ok=True)
        (directory / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
        (directory / "data.json").write_text(json.dumps(DATA))
    files = {"h": {"source": {"path": "asset.h"}, "destinations": {"here": {"objectKey": "h.zip"}}}}
    (tmp_path / "data.assets.json").write_text(json.dumps({"files": files}))

    assembly = Assembly.load(tmp_path)

    assert {name: stack.region for name, stack in assembly.stacks.items()} == {"sluice-data": "eu-west-1", "more": None}
    assert assembly.asset("h.zip") == tmp_path / "asset.h"
    assert next(assembly.resources()) == Resource("sluice-data", "Bucket", "AWS::S3::Bucket", {"BucketName": "raw"})
    with pytest.raises(TemplateError, match=r"object key other\.zip"):
        assembly.asset("other.zip")
