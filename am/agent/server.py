"""The agent's HTTPS server: turns requests of wire.py into calls of the loop, answers into bodies; decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import ssl
import typing
import weakref
from asyncio import sslproto

from aiohttp import web

from am.agent.desk import Refusal
from am.contract import wire
from am.contract.codec import ContractError

if typing.TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from am.agent.desk import Desk

CLOSING_ROUNDS = 5  # of the event loop, in which a connection that was cut lets its socket go
# asyncio keeps so much for each TLS connection, if nobody says otherwise 256 KiB: a GiB for 4,000 tasks.
TLS_BUFFER_BYTES = 4 * 1024
PIECE_BYTES = 8 * 1024  # of a topology; TLS keeps for a connection as much as was ever written to it at once
KEEPALIVE_S = 2 * wire.MAX_HOLD_S
LOG = logging.getLogger(__name__)
TASK, CLIENT = "task", "client"


class PortsTaken(Exception):  # noqa: N818 - a fact, reported as one sentence
    """None of the job's ports is free on this host."""


class Deflated(typing.NamedTuple):
    """A large body as it travels."""

    body: bytes


class Server:
    """Answers executors and clients.

    Args:
        desk: Whom to ask.
        secret: The job's; tokens derive from it.
        certificate: Path of the job's certificate (PEM).
        key: Path of its key.
    """

    def __init__(self, desk: Desk, secret: str, certificate: str, key: str) -> None:
        self._desk = desk
        self._tokens = {TASK: wire.task_token(secret).encode(), CLIENT: wire.client_token(secret).encode()}
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.load_cert_chain(certificate, key)
        self._tls.num_tickets = 0  # executors keep their connection; nobody comes back with a ticket
        self._routes: dict[tuple[str, str], tuple[str, Callable[[web.Request], Awaitable[typing.Any]]]] = {
            ("POST", "/register"): (TASK, self._posted(wire.Register, desk.register)),
            ("POST", "/beat"): (TASK, self._beat),
            ("POST", "/exit"): (TASK, self._exit),
            ("POST", "/probed"): (TASK, self._posted(wire.Probed, desk.probed)),
            ("POST", "/done"): (TASK, self._posted(wire.Done, desk.done)),
            ("POST", "/stop"): (CLIENT, self._posted(wire.Stop, desk.stop)),
            ("GET", "/events"): (CLIENT, self._events),
        }
        self._runner: web.AppRunner | None = None
        self._transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._encoded: dict[bool, tuple[wire.Orders, bytes | Deflated]] = {}

    async def listen(self, ports: tuple[int, ...]) -> int:
        """Listen on all interfaces at the first free of `ports`; return it.

        Raises:
            PortsTaken: None is free.
        """
        # Broken connections, scanners and wrong certificates are no news; what matters is logged here.
        logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
        sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES
        application = web.Application(client_max_size=wire.MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, keepalive_timeout=KEEPALIVE_S, shutdown_timeout=0.5
        )
        await self._runner.setup()
        for port in ports:
            site = web.TCPSite(self._runner, "0.0.0.0", port, ssl_context=self._tls, backlog=1024)  # noqa: S104
            try:
                await site.start()
            except OSError as error:
                LOG.info("port %d: %s", port, error.strerror)
                await site.stop()
            else:
                return int(self._runner.addresses[0][1])  # port 0 is any free one
        raise PortsTaken(f"none of the ports {', '.join(str(port) for port in ports)} is free")

    async def close(self) -> None:
        """Stop listening and end open connections."""
        if self._runner is None:
            return
        await self._runner.cleanup()
        for transport in list(self._transports):
            transport.abort()  # a TLS connection closes only when its other side does, too
        for _ in range(CLOSING_ROUNDS):
            await asyncio.sleep(0)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._desk.answering(1)
        if request.transport is not None:
            self._transports.add(request.transport)
        try:
            return await self._answer(request)
        except Refusal as refusal:
            return _problem(refusal.status, refusal.problem, refusal.message)
        except ContractError as error:
            return _problem(400, "not-understood", str(error))
        except web.HTTPRequestEntityTooLarge:
            return _problem(413, "too-large", f"a body has at most {wire.MAX_BODY_BYTES} bytes")
        except Exception:
            LOG.exception("a request could not be answered")
            return _problem(500, "internal", "the agent made an error; its log says more")
        finally:
            self._desk.answering(-1)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(wire.PREFIX) if request.path.startswith(wire.PREFIX + "/") else ""
        found = self._routes.get((request.method, path))
        if found is None:
            return _problem(404, "no-such-path", f"{request.method} {request.path[:100]} is not part of the wire")
        who, call = found
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(given.encode(errors="replace"), self._tokens[who]):
            return _problem(401, "wrong-token", f"this request needs the {who} token of the job")
        answer = await call(request)
        return await _in_pieces(request, answer) if isinstance(answer, Deflated) else _json(answer)

    @staticmethod
    def _posted(
        kind: type[typing.Any], call: Callable[[typing.Any], typing.Any]
    ) -> Callable[[web.Request], Awaitable[typing.Any]]:
        async def answer(request: web.Request) -> typing.Any:
            return call(wire.decode(kind, await request.read()))

        return answer

    async def _exit(self, request: web.Request) -> wire.Ack:
        return await self._desk.exit(wire.decode(wire.Exit, await request.read()))

    async def _beat(self, request: web.Request) -> bytes | Deflated:
        order = await self._desk.beat(wire.decode(wire.Beat, await request.read()))
        # All tasks get the same value; a topology of thousands of tasks is turned into bytes once.
        key = bool(order.topology)
        if key not in self._encoded or self._encoded[key][0] is not order:
            body = wire.encode(order)
            self._encoded[key] = (order, Deflated(wire.deflate(body)) if len(body) > wire.PLAIN_BYTES else body)
        return self._encoded[key][1]

    async def _events(self, request: web.Request) -> wire.Events:
        try:
            start, wait_s = int(request.query.get("from", "0")), float(request.query.get("wait_s", "0"))
        except ValueError:
            raise Refusal(400, "not-understood", "from and wait_s must be numbers") from None
        return await self._desk.events_from(max(0, start), wait_s)


async def _in_pieces(request: web.Request, answer: Deflated) -> web.StreamResponse:
    """Send a large answer; whoever has gone meanwhile asks again."""
    body = answer.body
    response = web.StreamResponse(headers={"Content-Encoding": wire.DEFLATED})
    response.content_type, response.content_length = "application/json", len(body)
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        for start in range(0, len(body), PIECE_BYTES):
            await response.write(body[start : start + PIECE_BYTES])
        await response.write_eof()
    return response


def _json(answer: typing.Any) -> web.Response:
    body = answer if isinstance(answer, bytes) else wire.encode(answer)
    return web.Response(body=body, content_type="application/json")


def _problem(status: int, problem: str, message: str) -> web.Response:
    body = json.dumps({"problem": problem, "message": message}).encode()
    return web.Response(body=body, status=status, content_type="application/json")
