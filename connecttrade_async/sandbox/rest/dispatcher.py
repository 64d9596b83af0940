"""The sandbox's gate: every request comes through it, and meets the handler it asks for, or its fate.

A middleware of aiohttp's would do the same, but aiohttp remembers a thousand of those for ever, with all that they
hold, and a test run would never let go of a sandbox. So the gate is one route for everything, with a router behind it.
"""

from collections.abc import Mapping

from aiohttp import web

from connecttrade_async.sandbox.control.routes import CONTROL
from connecttrade_async.sandbox.faults.inject import FaultInjector
from connecttrade_async.sandbox.faults.rest import Faults
from connecttrade_async.sandbox.rest.endpoints import RestContext
from connecttrade_async.sandbox.rest.request_log import RequestLog, RequestRecord
from connecttrade_async.sandbox.rest.routes import PARTS, json_response, written_response

__all__ = ["Dispatcher"]

_LOGIN = "/connect/"


class Dispatcher:
    """Lets requests through.

    Args:
        router: where they lead.
        faults: which of them is struck.
        misfortune: what a fault does.
        served: the log of requests.
        desk: the form of the errors.
    """

    def __init__(
        self,
        router: web.UrlDispatcher,
        faults: Faults,
        misfortune: FaultInjector,
        served: RequestLog,
        desk: RestContext,
    ) -> None:
        self._router = router
        self._faults = faults
        self._injector = misfortune
        self._served = served
        self._context = desk

    async def dispatch(self, request: web.Request) -> web.StreamResponse:
        """Pass a request to its handler, or apply the fault that matches; and log the request."""
        match = await self._router.resolve(request)
        PARTS.set(match)
        path = request.rel_url.raw_path
        # No fault strikes the control path: over it, faults are removed.
        if path.startswith(f"{CONTROL}/"):
            return await self._answer(request, match)
        fault = self._faults.draw(request.method, path)
        # A fault may replace the response of a request that was executed, so the status does not show that.
        worked = False
        answer: web.StreamResponse | None = None

        async def work() -> web.StreamResponse:
            nonlocal worked
            response = await self._answer(request, match)
            worked = response.status < 400  # noqa: PLR2004  errors begin here
            return response

        try:
            answer = await (work() if fault is None else self._injector.apply(fault, request, work))
        finally:  # also if the client has gone: a test counts every request that arrived
            status, kind = None if answer is None else answer.status, None if fault is None else fault.kind
            route = _route(match)
            shown = (route or f"{_LOGIN}{{token}}") if path.startswith(_LOGIN) else path
            self._served.note(RequestRecord(request.method, shown, route, status, worked, kind))
        return web.Response() if answer is None else answer

    async def _answer(self, request: web.Request, match: web.UrlMappingMatchInfo) -> web.StreamResponse:
        """The handler's answer, or JSON for what the router and the HTTP layer refuse."""
        try:
            return await match.handler(request)
        except web.HTTPMethodNotAllowed as error:
            allow = {"Allow": ", ".join(sorted(error.allowed_methods))}
            return self._refused(request, 405, f"{request.path} takes no {request.method}.", allow)
        except web.HTTPNotFound:
            return self._refused(request, 404, f"There is no {request.path} here.")
        except web.HTTPException as error:
            return self._refused(request, error.status, f"{error.reason}.")

    def _refused(
        self, request: web.Request, status: int, message: str, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        if request.rel_url.raw_path.startswith(f"{CONTROL}/"):
            return json_response({"message": message}, status=status, headers=headers)
        return written_response(self._context.translator.error(status, message), headers=headers)


def _route(match: web.UrlMappingMatchInfo) -> str:
    resource = match.route.resource
    return "" if resource is None else resource.canonical
