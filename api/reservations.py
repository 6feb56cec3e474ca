"""Find one's holds, look at one, or give it back."""

from typing import Annotated

from fastapi import BackgroundTasks, Query, Response

from lib import errors, events, inventory
from lib.auth import BUYER_SECURITY, REFUSALS, Buyer
from lib.bodies import BuyerRequest
from lib.fields import PathId
from lib.http import REPLAYED, json_response, make_app, problems
from lib.models import Reservation, ReservationResponse, Reservations, ReservationStatus

app = make_app()

UserId = Annotated[PathId | None, Query(alias="userId", description="Who asks, where AUTH_MODE is trusted.")]
DropIds = Annotated[
    list[PathId], Query(alias="dropId", min_length=1, max_length=50, description="Once for each drop, 50 at most.")
]


@app.get("/api/reservations", response_model=Reservations, openapi_extra=BUYER_SECURITY, responses=problems(*REFUSALS))
def live_reservations(drop_ids: DropIds, buyer: Buyer, user_id: UserId = None) -> Response:
    """The caller's holds in these drops that are still good: how a page finds them that did not make them."""
    found = inventory.live_holds(buyer.user_id(user_id), drop_ids)
    return json_response(Reservations(reservations=[Reservation.of(hold) for hold in found]))


@app.get(
    "/api/reservations/{reservation_id}",
    response_model=ReservationStatus,
    openapi_extra=BUYER_SECURITY,
    responses=problems(errors.ReservationNotFound, errors.NotOwner, *REFUSALS),
)
def get_reservation(reservation_id: PathId, buyer: Buyer, user_id: UserId = None) -> Response:
    """The caller's reservation, and the seconds its hold is still good for."""
    return json_response(ReservationStatus.of(inventory.get_reservation(reservation_id, buyer.user_id(user_id))))


@app.delete(
    "/api/reservations/{reservation_id}",
    response_model=ReservationResponse,
    openapi_extra=BUYER_SECURITY,
    responses=problems(
        errors.ReservationNotFound,
        errors.NotOwner,
        errors.ReservationExpired,
        errors.ReservationClosed,
        *REFUSALS,
        has_body=True,
    ),
)
def release(
    reservation_id: PathId,
    buyer: Buyer,
    tasks: BackgroundTasks,
    body: BuyerRequest | None = None,
    user_id: UserId = None,
) -> Response:
    """Give the unit back before the deadline. userId comes in the body, or in the query for clients that send none."""
    claimed = body.user_id if body is not None and body.user_id is not None else user_id
    hold = inventory.release(reservation_id, buyer.user_id(claimed))
    tasks.add_task(events.deliver_later)
    headers = REPLAYED if hold.replayed else None
    return json_response(ReservationResponse(reservation=Reservation.of(hold)), 200, headers, tasks)
