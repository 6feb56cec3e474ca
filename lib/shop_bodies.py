"""Request bodies of the shop's own routes. Apart from those of buyers, whose functions must start fast: building these
validators costs more than all the others together."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lib.bodies import Request
from lib.fields import (
    FIRST_TIME,
    MAX_SIZES,
    MAX_STOCK,
    Currency,
    HoldSeconds,
    ImageUrl,
    MaxPerUser,
    Name,
    Price,
    SizeLabel,
    Time,
    Units,
    WantedSize,
)


class NewSize(Request):
    size: SizeLabel
    stock: Units


class CreateDropRequest(Request):
    name: Name
    price: Price
    total_stock: Units | None = Field(None, description="Units of a drop without sizes. Give either this or sizes.")
    sizes: Annotated[list[NewSize], Field(min_length=1, max_length=MAX_SIZES)] | None = None
    currency: Currency = "USD"
    image_url: ImageUrl | None = None
    drop_start_time: Time | None = Field(None, description="Default: now.")
    drop_end_time: Time | None = Field(None, description="Default: never.")
    hold_seconds: HoldSeconds = 60
    max_per_user: MaxPerUser | None = Field(None, description="Default: no limit.")

    @model_validator(mode="after")
    def _stock_is_clear(self) -> Self:
        if (self.total_stock is None) == (self.sizes is None):
            raise ValueError("give either totalStock or sizes")
        labels = [size.size for size in self.sizes or []]
        if len(set(labels)) != len(labels):
            raise ValueError("sizes must be distinct")
        if sum(size.stock for size in self.sizes or []) > MAX_STOCK:
            raise ValueError(f"the stock of all sizes must be {MAX_STOCK} at most")
        if self.drop_start_time and self.drop_end_time and self.drop_end_time <= self.drop_start_time:
            raise ValueError("dropEndTime must be after dropStartTime")
        return self

    def stock_by_size(self) -> list[tuple[str, int]]:
        """[(label, units)]; a drop without sizes has one, named ''."""
        if self.total_stock is not None:
            return [("", self.total_stock)]
        return [(size.size, size.stock) for size in self.sizes or []]


class UpdateDropRequest(Request):
    """What is absent stays as it is. Null clears what can be absent in a drop."""

    # The factories' values are never read (see changes); as plain defaults the API document would promise them.
    name: Name = Field(default_factory=str)
    price: Price = Field(default_factory=Decimal)
    drop_start_time: Time = Field(default_factory=lambda: FIRST_TIME)
    drop_end_time: Time | None = None
    image_url: ImageUrl | None = None
    max_per_user: MaxPerUser | None = None
    hold_seconds: HoldSeconds = Field(default_factory=lambda: 1, description="For new holds; live ones keep theirs.")
    state: Literal["OPEN", "PAUSED", "CANCELLED"] = Field(default_factory=lambda: "OPEN")

    def changes(self) -> dict[str, Any]:
        """The given fields by column name, JSON-ready."""
        return {
            name: str(v) if isinstance(v, Decimal | datetime) else v
            for name, v in self.model_dump(exclude_unset=True).items()
        }


class RestockRequest(Request):
    quantity: Annotated[
        int,
        Field(
            strict=True,
            ge=-MAX_STOCK,
            le=MAX_STOCK,
            description="Units to add; negative: to take away.",
            json_schema_extra={"not": {"const": 0}},
        ),
    ]
    size: WantedSize | None = None

    @model_validator(mode="after")
    def _moves_something(self) -> Self:
        if self.quantity == 0:
            raise ValueError("quantity must not be 0")
        return self
