"""Users, as far as a drop needs them."""

import hashlib
from typing import Annotated

from fastapi import Header, Query, Response
from pydantic import Field

from lib import errors, inventory
from lib.auth import ADMIN_SECURITY, REFUSALS, AdminInJwtMode, AdminOutsideDevelopment
from lib.bodies import CreateUserRequest
from lib.fields import MAX_ID, Digits
from lib.http import REPLAYED, json_response, make_app, problems
from lib.models import User, UserCreated, Users

app = make_app()


@app.post(
    "/api/users",
    status_code=201,
    response_model=UserCreated,
    dependencies=[AdminInJwtMode],
    openapi_extra=ADMIN_SECURITY,
    responses=problems(errors.UsernameTaken, errors.IdempotencyMismatch, *REFUSALS, has_body=True),
)
def create_user(
    body: CreateUserRequest,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255, pattern="^[!-~ ]+$")] = None,
) -> Response:
    """Make a user; for admins alone where AUTH_MODE is jwt. With an Idempotency-Key, repeating makes no second."""
    user, replayed = inventory.create_user(
        body.username,
        idempotency_key=idempotency_key,
        request_hash=hashlib.sha256(body.username.encode()).hexdigest(),
    )
    answer = UserCreated(message="User created", user=User(id=user.id, username=user.username))
    return json_response(answer, 201, REPLAYED if replayed else None)


@app.get(
    "/api/users",
    response_model=Users,
    dependencies=[AdminOutsideDevelopment],
    responses=problems(*REFUSALS),
)
def list_users(
    limit: Annotated[int, Field(ge=1, le=1000), Digits, Query()] = 100,
    after: Annotated[int, Field(ge=0, le=MAX_ID), Digits, Query(description="The last id of the page before.")] = 0,
) -> Response:
    """Users, oldest first; the next page's address is in the Link header. For admins, outside development."""
    found = inventory.list_users(limit + 1, after)
    page = found[:limit]
    links = {}
    if len(found) > limit:
        links["Link"] = f'</api/users?limit={limit}&after={page[-1].id}>; rel="next"'
    return json_response(Users(users=[User(id=user.id, username=user.username) for user in page]), 200, links)
