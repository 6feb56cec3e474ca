"""Hold one unit of a drop."""

from fastapi import BackgroundTasks, Response

from lib import errors, events, inventory
from lib.auth import BUYER_SECURITY, REFUSALS, Buyer
from lib.bodies import ReserveRequest
from lib.fields import PathId
from lib.http import REPLAYED, json_response, make_app, problems
from lib.models import ReserveResponse

app = make_app()


@app.post(
    "/api/reserve/{drop_id}",
    status_code=201,
    response_model=ReserveResponse,
    openapi_extra=BUYER_SECURITY,
    responses={
        200: {"model": ReserveResponse, "description": "You already hold one: this is it."},
        **problems(
            errors.DropNotFound,
            errors.UserNotFound,
            errors.DropNotStarted,
            errors.DropEnded,
            errors.DropPaused,
            errors.DropCancelled,
            errors.SizeRequired,
            errors.UnknownSize,
            errors.LimitReached,
            errors.RateLimited,
            errors.SoldOut,
            *REFUSALS,
            has_body=True,
        ),
    },
)
def reserve(drop_id: PathId, body: ReserveRequest, buyer: Buyer, tasks: BackgroundTasks) -> Response:
    """Hold one unit for the drop's holdSeconds. Who already holds one gets that one again."""
    hold = inventory.reserve(drop_id, buyer.user_id(body.user_id), body.size)
    tasks.add_task(events.deliver_later)
    if hold.replayed:
        return json_response(ReserveResponse.of(hold), 200, REPLAYED, tasks)
    return json_response(ReserveResponse.of(hold), 201, tasks=tasks)
