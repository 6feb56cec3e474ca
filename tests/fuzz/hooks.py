"""What schemathesis checks on top of its own checks. It loads this file by SCHEMATHESIS_HOOKS."""

import schemathesis

# A JSON schema cannot say these: what concerns two fields at once, or what is there already.
BEYOND_A_SCHEMA = (
    "give either totalStock or sizes",
    "sizes must be distinct",
    "the stock of all sizes must be",
    "dropEndTime must be after dropStartTime",
    "A drop can have 1,000,000 units at most.",
    "must be in the years 1970 to 9998",
    # AUTH_MODE=jwt needs none, and the document is the same for both.
    "userId: is required",
)
BLANK = "at least 1 character"  # after trimming
OF_THE_STATE = ("idempotency_mismatch", "size_required", "unknown_size")
# JSON numbers of schemathesis' validator are doubles, which cannot tell 2**63 - 1 from what is a little more.
DOUBTFUL_ID = 2**63 - 1024


def numbers(value: object) -> list[float]:
    """Every number in a body or a set of parameters."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def is_excused(code: str, detail: str, sent: list[float]) -> bool:
    """Whether a schema-valid request may be refused like this."""
    if code in OF_THE_STATE or any(reason in detail for reason in (*BEYOND_A_SCHEMA, BLANK)):
        return True
    # 3.0 is an integer to JSON Schema; here floats are none.
    is_float = "must be an integer" in detail and any(isinstance(number, float) for number in sent)
    return is_float or any(number > DOUBTFUL_ID for number in sent)


@schemathesis.check
def valid_requests_are_not_refused_as_invalid(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """schemathesis' own positive_data_acceptance, but for the reasons above."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return
    problem = response.json()
    sent = numbers(case.body) + numbers(case.path_parameters) + numbers(case.query)
    # Optional parameters read as nullable, and null in a query is the word "null".
    if "null" in str(response.request.url):
        return
    if not is_excused(problem["code"], problem["detail"], sent):
        raise AssertionError(f"{problem['code']}: {problem['detail']}")
