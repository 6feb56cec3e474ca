"""Turn a hold into a purchase."""

from fastapi import BackgroundTasks, Response

from lib import errors, events, inventory
from lib.auth import BUYER_SECURITY, REFUSALS, Buyer
from lib.bodies import BuyerRequest
from lib.fields import PathId
from lib.http import REPLAYED, json_response, make_app, problems
from lib.models import PurchaseResponse

app = make_app()


@app.post(
    "/api/purchase/{reservation_id}",
    status_code=201,
    response_model=PurchaseResponse,
    openapi_extra=BUYER_SECURITY,
    responses={
        200: {"model": PurchaseResponse, "description": "You already bought this one: the first answer again."},
        **problems(
            errors.ReservationNotFound,
            errors.NotOwner,
            errors.ReservationExpired,
            errors.ReservationClosed,
            errors.DropCancelled,
            *REFUSALS,
            has_body=True,
        ),
    },
)
def purchase(reservation_id: PathId, body: BuyerRequest, buyer: Buyer, tasks: BackgroundTasks) -> Response:
    """Buy the unit that the caller holds, once, until the hold's deadline."""
    bought = inventory.purchase(reservation_id, buyer.user_id(body.user_id))
    tasks.add_task(events.deliver_later)
    if bought.replayed:
        return json_response(PurchaseResponse.of(bought), 200, REPLAYED, tasks)
    return json_response(PurchaseResponse.of(bought), 201, tasks=tasks)
