"""A rule-based security review finds only what was accepted with a reason."""

from pathlib import Path

from cdk_nag import AwsSolutionsChecks

from infra.stacks import define
from tests.infra.templates import Templates, context

# Managed policies and wildcards are reviewed statement by statement, with a reason for each, in test_permissions.
REVIEWED_ELSEWHERE = ("AwsSolutions-IAM4[", "AwsSolutions-IAM5[")


def test_cdk_nag_finds_nothing_that_is_not_accepted_with_a_reason(templates: Templates, tmp_path: Path) -> None:
    app = define(context(templates.profile.name), outdir=str(tmp_path))
    found = {
        violation.rule_name: [resource.construct_path for resource in violation.violating_resources]
        for violation in AwsSolutionsChecks().validate_scope(app).violations
        if not violation.rule_name.startswith(REVIEWED_ELSEWHERE)
    }
    assert found == {}
