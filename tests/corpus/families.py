"""The whole corpus, family by family."""

from dataclasses import replace
from functools import cache
from types import ModuleType

from tests.corpus import (
    authentication,
    batches,
    compression,
    contract_types,
    contract_values,
    correlation,
    hostile_text,
    json_syntax,
    media_types,
    moments,
    numbers,
    structure,
    unicode_text,
    unknown_fields,
)
from tests.corpus.cases import Case

FAMILIES: tuple[ModuleType, ...] = (
    json_syntax,
    structure,
    numbers,
    unicode_text,
    hostile_text,
    moments,
    contract_types,
    contract_values,
    unknown_fields,
    batches,
    compression,
    media_types,
    authentication,
    correlation,
)


@cache
def corpus() -> tuple[Case, ...]:
    """Every case, made once: the bombs take a moment."""
    return tuple(
        replace(case, family=family.__name__.rpartition(".")[2]) for family in FAMILIES for case in family.cases()
    )
