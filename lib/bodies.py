"""Request bodies of buyers; those of the shop are in shop_bodies.py."""

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from lib.fields import Id, Name, WantedSize
from lib.models import Wire


class Request(Wire):
    """A request body. Unknown fields are refused: a misspelled one must not be ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=False, extra="forbid")


class BuyerRequest(Request):
    """userId says who acts where AUTH_MODE is trusted."""

    user_id: Id | None = None


class ReserveRequest(BuyerRequest):
    size: WantedSize | None = Field(None, description="Needed if the drop has sizes.")


class CreateUserRequest(Request):
    username: Name
