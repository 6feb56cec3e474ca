"""Every way a request can fail: one class a code, the code as clients see it, and nothing that depends on a framework.

The `outcome` values that SQL functions return are these codes (a test compares both lists).
"""

from typing import Any, ClassVar


class HoldfastError(Exception):
    """A failure with a stable code. `detail` says in plain words what happened and what to do."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong here"
    default_detail: ClassVar[str] = (
        "The request failed on our side. Repeat it; if it fails again, report the request id."
    )

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after_seconds: int | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        self.detail = detail or self.default_detail
        self.retry_after_seconds = retry_after_seconds
        self.errors = errors
        super().__init__(self.detail)


class InvalidRequest(HoldfastError):
    """The request itself is wrong; repeating it does not help."""


class ValidationFailed(InvalidRequest):
    status, code, title = 422, "validation_failed", "The request has a field that does not fit"
    default_detail = "A field is missing or has a value that is not allowed."


class MalformedJson(InvalidRequest):
    status, code, title = 400, "malformed_json", "The body is not JSON"
    default_detail = "The request body could not be read as JSON."


class TooLarge(InvalidRequest):
    status, code, title = 413, "too_large", "The body is too large"
    default_detail = "A request body can have 64 kB at most."


class MethodNotAllowed(InvalidRequest):
    status, code, title = 405, "method_not_allowed", "The method is not allowed here"
    default_detail = "This address does not take that method; the Allow header lists those it takes."


class NotFound(InvalidRequest):
    status, code, title = 404, "not_found", "There is nothing at this address"
    default_detail = "There is nothing at this address. GET /api/openapi.json lists what there is."


class DropNotFound(InvalidRequest):
    status, code, title = 404, "drop_not_found", "No such drop"
    default_detail = "There is no drop with this id."


class ReservationNotFound(InvalidRequest):
    status, code, title = 404, "reservation_not_found", "No such reservation"
    default_detail = "There is no reservation with this id."


class UserNotFound(InvalidRequest):
    status, code, title = 404, "user_not_found", "No such user"
    default_detail = "There is no user with this id. Make one with POST /api/users."


class SizeRequired(InvalidRequest):
    status, code, title = 422, "size_required", "Choose a size"
    default_detail = "This drop has sizes: say which one in the field size."


class UnknownSize(InvalidRequest):
    status, code, title = 422, "unknown_size", "No such size"
    default_detail = "This drop has no such size; its sizes are listed in GET /api/drops/{id}."


class IdempotencyMismatch(InvalidRequest):
    status, code, title = 422, "idempotency_mismatch", "The Idempotency-Key was used for another request"
    default_detail = "This Idempotency-Key came earlier with a different body. Use a new key for a new request."


class Conflict(HoldfastError):
    """The request is right, but the state of the drop or the hold does not allow it (now)."""

    status = 409


class SoldOut(Conflict):
    code, title = "sold_out", "Sold out"
    default_detail = "Nothing is left. A unit returns if a hold expires or is released."


class DropNotStarted(Conflict):
    code, title = "drop_not_started", "The drop has not started"
    default_detail = "This drop has not started yet; the Retry-After header says in how many seconds it does."


class DropEnded(Conflict):
    code, title = "drop_ended", "The drop has ended"
    default_detail = "This drop has ended."


class DropPaused(Conflict):
    code, title = "drop_paused", "The drop is paused"
    default_detail = "The shop has paused this drop. Holds that were given remain good."


class DropCancelled(Conflict):
    code, title = "drop_cancelled", "The drop is cancelled"
    default_detail = "The shop has cancelled this drop."


class LimitReached(Conflict):
    code, title = "limit_reached", "You have all the units you can get"
    default_detail = "One buyer can get no more units of this drop."


class ReservationClosed(Conflict):
    code, title = "reservation_closed", "The reservation is closed"
    default_detail = "This reservation was already released or purchased."


class UsernameTaken(Conflict):
    code, title = "username_taken", "The username is taken"
    default_detail = "Somebody has this username. Choose another one."


class StockCommitted(Conflict):
    code, title = "stock_committed", "These units are held or sold"
    default_detail = "Only units that are on sale can be taken away."


class ReservationExpired(HoldfastError):
    status, code, title = 410, "reservation_expired", "The reservation has expired"
    default_detail = "The hold ended before the purchase. Reserve again if there is stock."


class RateLimited(HoldfastError):
    status, code, title = 429, "rate_limited", "Too many holds in a short time"
    default_detail = "You began many holds in this drop; the Retry-After header says in how many seconds you may again."


class Denied(HoldfastError):
    """The caller did not prove to be who the request needs."""


class Unauthorized(Denied):
    status, code, title = 401, "unauthorized", "Say who you are"
    default_detail = "This route needs a valid Authorization: Bearer header."


class Forbidden(Denied):
    status, code, title = 403, "forbidden", "Not allowed"
    default_detail = "You may not do this."


class NotOwner(Denied):
    status, code, title = 403, "not_owner", "Not your reservation"
    default_detail = "This reservation belongs to another user."


class Unavailable(HoldfastError):
    """Nothing is wrong with the request: repeat it later."""

    status = 503


_REPEAT = (
    "Repeat the request in a moment: nothing is held or bought twice. What makes or restocks a drop needs an "
    "Idempotency-Key for that."
)


class Busy(Unavailable):
    code, title = "busy", "Too much going on at this instant"
    default_detail = f"The request could not get its turn in time. {_REPEAT}"

    def __init__(self, detail: str | None = None, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class DatabaseUnavailable(Unavailable):
    code, title = "database_unavailable", "The database does not answer"
    default_detail = f"The database cannot be reached. {_REPEAT}"

    def __init__(self, detail: str | None = None, *, retry_after_seconds: int = 2) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class IssuerUnavailable(Unavailable):
    code, title = "issuer_unavailable", "The identity provider does not answer"
    default_detail = (
        "The key that this token was signed with is not known here, and the identity provider's keys could not be "
        "fetched. Repeat the request in a moment."
    )

    def __init__(self, detail: str | None = None, *, retry_after_seconds: int = 2) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class NotConfigured(Unavailable):
    code, title = "not_configured", "Not configured"
    default_detail = "A setting that this route needs is missing on the server."


def _leaves(cls: type[HoldfastError]) -> list[type[HoldfastError]]:
    children = cls.__subclasses__()
    return [leaf for child in children for leaf in _leaves(child)] if children else [cls]


BY_CODE: dict[str, type[HoldfastError]] = {cls.code: cls for cls in _leaves(HoldfastError)}
