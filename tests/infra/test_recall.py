"""recall may read rollups, and nothing else anywhere."""

from tests.infra.templates import Templates


def test_it_may_read_published_files_and_nothing_else(templates: Templates) -> None:
    grants = templates.granted("recall")
    assert set(grants) - {"logs:CreateLogStream", "logs:PutLogEvents"} == {
        "s3:GetObject",
        "kms:Decrypt",
    }
    (place,) = grants["s3:GetObject"]
    assert "Rollups" in place
    assert place.endswith('"/rollups/*"]]}')
