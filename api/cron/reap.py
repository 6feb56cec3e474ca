"""The door for the platform's clock."""

from fastapi import Response

from lib import errors
from lib.auth import Cron
from lib.http import json_response, make_app, problems
from lib.models import Sweep
from scheduled.reap import sweep

app = make_app()


@app.get(
    "/api/cron/reap",
    response_model=Sweep,
    dependencies=[Cron],
    responses=problems(errors.Unauthorized, errors.NotConfigured),
)
def reap() -> Response:
    """Expire what is due and deliver what waits, for as long as the sweep's budget lasts."""
    return json_response(sweep())
