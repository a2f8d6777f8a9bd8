"""Schemas that real generators wrote: taken, and judged as a reference validator does, or it is said why not.

The reference is the jsonschema package with every format that it knows, and with patterns as ECMA-262 has
them. It is given the schema as it is read here, since it knows neither wrappers nor OpenAPI's words.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import regress
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators
from jsonschema.validators import validator_for

import benchmarks
from runapi_mcp.errors import InputError
from runapi_mcp.extraction.check import Judge
from runapi_mcp.extraction.model_json import NotJson, read_json
from runapi_mcp.wire.schema.read import read_schema
from runapi_mcp.wire.schema.write import rewrite_schema
from wire.test_schema_laws import faults_of

ROWS: dict[str, dict[str, Any]] = {
    row["what"]: row
    for row in json.loads(
        (Path(benchmarks.__file__).parent / "schemas" / "real_generators.json").read_text(encoding="utf-8")
    )
}

REFUSED = {
    "apischema OPEN_API_3_0": "it refers to components of a document that it was taken out of",
    "apischema OPEN_API_3_1": "the same",
    "FastAPI 3.1: component alone (refs dangle)": "the same",
    "FastAPI 3.1: whole OpenAPI document": "which of its schemas is meant is not said",
    "typebox Date/Uint8Array/RegExp/TemplateLiteral/Not": "RegExp is no type of JSON",
    "typebox Unsafe Date types": "Date is no type of JSON",
}
"""Those that mean nothing as they are; what is wrong is told."""

REFERENCE_DIFFERS = {
    "pydantic/recursive discriminated blocks": "it lets any text be a URI",
    "pydantic/standard types, aware": "it wants a time without a zone, which RFC 3339 wants",
    "pydantic/constraints": "it divides 0.15 by 0.05 in floats",
    "zod3 bigint, any, unknown, nan, never": "it divides 0.07 by 0.01 in floats",
    "zod4 numbers": "the same",
    "zod3 strings": "its engine refuses an escape of a minus in a class, which Annex B of ECMA-262 allows",
}

SAMPLE_DIFFERS = {
    "zod3 invoice openAi": "it requires members that the sample leaves out, as OpenAI's strict mode wants",
    "zod3 intersection": "it lets further members be, which the model does not",
    "zod3 strings": "it asks of a network that it be of IPv4 and of IPv6",
    **dict.fromkeys(
        (
            f"zod4 invoice {form}"
            for form in ("draft-2020-12", "draft-7", "draft-4", "openapi-3.0", "io input", "reused ref")
        ),
        "its literal may be null",
    ),
}
"""Whose samples say something else than the schema that was written."""


def verdicts(row: dict[str, Any], conforms: Callable[[Any], bool]) -> Iterator[bool]:
    for text in (*row["good"], *row["near"]):
        try:
            value = read_json(text)
        except NotJson:
            yield False
            continue
        yield conforms(value)


def pattern(_validator: Any, expression: str, value: object, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and regress.Regex(expression, "u").find(value) is None:
        yield ValidationError("it does not match")


@pytest.mark.parametrize("what", REFUSED)
def test_what_means_nothing_is_refused(what: str) -> None:
    with pytest.raises(InputError):
        rewrite_schema(read_schema(ROWS[what]["schema"]).schema)


@pytest.mark.parametrize("what", [what for what in ROWS if what not in REFUSED])
def test_what_a_generator_wrote_is_judged_as_the_reference_does(what: str) -> None:
    row = ROWS[what]
    schema = read_schema(row["schema"]).schema
    sent = rewrite_schema(schema).schema
    assert faults_of(sent) == []
    ours = [*verdicts(row, Judge(schema).conforms)]
    reference = validators.extend(validator_for(schema, default=Draft202012Validator), {"pattern": pattern})  # type: ignore[no-untyped-call]  # jsonschema leaves it untyped
    checker = reference(schema, format_checker=FormatChecker())
    try:
        theirs = [*verdicts(row, lambda value: checker.is_valid(json.loads(json.dumps(value))))]
    except regress.RegressError:
        theirs = []
    assert (theirs != ours) is (what in REFERENCE_DIFFERS)
    meant = [True] * len(row["good"]) + [False] * len(row["near"])
    assert (ours != meant) is (what in SAMPLE_DIFFERS)
    wire = Draft202012Validator(sent)
    for text, conforms in zip(row["good"], ours, strict=False):
        assert wire.is_valid(json.loads(text)) or not conforms


def test_enough_of_them_are_taken() -> None:
    assert len(ROWS) - len(REFUSED) >= 117
