"""The documentation of all functions as one OpenAPI document, and the answer to addresses that do not exist."""

import importlib
import json
from functools import lru_cache
from typing import Any

from fastapi import Request, Response
from fastapi.openapi.utils import get_openapi

from lib.auth import TOKEN_SCHEME
from lib.http import cached_response, make_app
from lib.models import Problem

app = make_app()

_MODULES = ("drops", "reserve", "purchase", "reservations", "users", "admin", "realtime", "health", "cron.reap")
_DESCRIPTION = """Live inventory for limited drops: exact stock, timed holds, purchases that happen once.

Every failure is `application/problem+json` with a stable `code`. Repeating a request is safe: it gives the first answer
again, with `Idempotency-Replayed: true`."""

# Swagger UI styles its elements by attribute.
_PAGE_POLICY = (
    "default-src 'self'; connect-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; object-src 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Holdfast API</title>
<link rel="icon" href="/icon.svg">
<link rel="stylesheet" href="/vendor/swagger-ui.css">
</head>
<body>
<div id="swagger">The API is described in <a href="/api/openapi.json">/api/openapi.json</a>.</div>
<script src="/vendor/swagger-ui-bundle.js"></script>
<script src="/docs-init.js"></script>
</body>
</html>
"""


@app.get("/api/docs", include_in_schema=False)
async def docs() -> Response:
    return Response(_PAGE, media_type="text/html", headers={"Content-Security-Policy": _PAGE_POLICY})


@app.get("/api/openapi.json", include_in_schema=False)
def openapi(request: Request) -> Response:
    return cached_response(request, _document())


@lru_cache
def _document() -> bytes:
    """All routes of all functions. They are imported here at first use: no other request needs them."""
    routes = []
    for name in _MODULES:
        routes += importlib.import_module(f"api.{name}").app.routes
    document = get_openapi(title="Holdfast", version="1.0.0", description=_DESCRIPTION, routes=routes)
    _describe_problems(document)
    document["components"]["securitySchemes"]["token"] = TOKEN_SCHEME
    return json.dumps(document).encode()


def _describe_problems(document: dict[str, Any]) -> None:
    """Every failure is a Problem; FastAPI's own description of a validation failure does not apply."""
    schemas = document["components"]["schemas"]
    schemas["Problem"] = Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
