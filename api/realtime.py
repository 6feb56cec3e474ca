"""What a browser needs to subscribe."""

from fastapi import Response

from lib import errors
from lib.http import json_response, make_app, problems
from lib.models import Realtime
from lib.realtime import for_browsers

app = make_app()


@app.get("/api/realtime", response_model=Realtime, responses=problems(errors.NotConfigured))
def realtime() -> Response:
    """The arguments for pusher-js and the names of the channels. 503 if there is no channel: poll instead."""
    return json_response(for_browsers(), 200, {"Cache-Control": "public, max-age=0, s-maxage=60"}, exclude_none=True)
