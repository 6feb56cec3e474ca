"""Demo data for an empty development database: users 1 to 20, and a drop of each kind."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from lib import inventory

USERS = 20


def seed() -> bool:
    """Whether anything was made: nothing is, once there is a user."""
    if inventory.list_users(limit=1):
        return False
    for number in range(1, USERS + 1):
        inventory.create_user(f"demo-{number:02}")
    # Drop 1 has no sizes and no limit: the README's first `reserve` and `purchase` go there.
    inventory.create_drop(
        name="Holdfast One, demo drop",
        price=Decimal("200"),
        sizes=[("", 100)],
    )
    inventory.create_drop(
        name="Harbor Runner, in five sizes",
        price=Decimal("149.50"),
        sizes=[(str(size), 12) for size in range(8, 13)],
        max_per_user=2,
    )
    inventory.create_drop(
        name="Tideline, tomorrow",
        price=Decimal("89"),
        sizes=[("", 40)],
        start=datetime.now(UTC) + timedelta(days=1),
        max_per_user=1,
    )
    return True


if __name__ == "__main__":
    print("  demo users and drops made" if seed() else "  data of an earlier run kept", flush=True)
