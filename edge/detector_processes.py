"""Worker processes of the detector. Long work does not delay short work, and abandoned work is killed.

A parent process loads the rules and models. Each worker is forked from it, which takes milliseconds and shares that
memory. So a worker can be killed when its work is abandoned, and replaced when its work takes long.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
import socket
import struct
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHORT_BYTES = 16 * 1024
"""Longer requests are processed by separate workers with a lower priority."""
SLOW_S = 0.05
"""Processor time in seconds after which the worker of a short request is replaced. It then finishes its work with a
lower priority.

Elapsed time would also count other programs on a busy machine. A common text of 16 KB takes half of this time. A
text that was made to take long takes three times this time (1.5 and 10 microseconds a byte, measured on
29 November 2026)."""
MAX_SLOW = 4
"""Replaced workers that may still be working. Above this number, the request is given up."""
NICE = 10
"""Nice value of slow work. It gets a tenth of the processor time of a short request that runs at the same time."""
_PR_SET_PDEATHSIG = 1
_HEAD = struct.Struct(">BI")
OK, SLOW, MALFORMED = 0, 1, 2


class LookSlow(Exception):
    """The time limit is over, or too many slow requests are running."""


class LookMalformed(Exception):
    """The request is malformed."""


class LookBroken(Exception):
    """A worker process ended unexpectedly."""


Look = Callable[[bytes], bytes]
"""Processes a request body and returns the response body. Raises TimeoutError; ValueError, KeyError or TypeError if
the request is malformed."""


class Workers:
    """The workers of one detector. `begin` is called once, in the parent process, and returns the version and the
    look function.
    """

    def __init__(self, begin: Callable[[Any], tuple[str, Look]], settings: Any, workers: int) -> None:
        own_end, other_end = socket.socketpair()
        # Spawned, not forked: a forked copy of a running loop may hang.
        context = multiprocessing.get_context("spawn")
        self._parent = context.Process(target=_run_parent, args=(begin, settings, other_end), daemon=True)
        self._parent.start()
        other_end.close()
        self._control = own_end
        self.lost = 0
        """Workers that ended unexpectedly."""
        self.short = Lane(self, 0, workers)
        self.long = Lane(self, NICE, max(1, workers // 2))

    async def start(self) -> str:
        """Wait until all workers run, and return the version of the rules. Raises LookBroken if the rules cannot be
        used.
        """
        version = await asyncio.to_thread(self._control.recv, 1024)
        if not version:
            raise LookBroken
        for lane in (self.short, self.long):
            await lane.start()
        return version.decode()

    @property
    def alive(self) -> bool:
        """Whether new workers can be forked."""
        return self._parent.is_alive()

    @property
    def busy(self) -> int:
        """Number of requests that are being processed."""
        return self.short.busy + self.long.busy

    async def look(self, workload: str, body: bytes) -> bytes:
        """Process a request. Cancelling this call kills the worker. Raises LookSlow, LookMalformed or LookBroken."""
        lane = self.short if len(body) <= SHORT_BYTES else self.long
        return await lane.look(workload, body)

    async def fork(self, nice: int) -> Worker:
        """Fork a worker with this nice value. Raises LookBroken."""
        own_end, other_end = socket.socketpair()
        try:
            socket.send_fds(self._control, [bytes([nice])], [other_end.fileno()])
        except OSError:
            own_end.close()
            raise LookBroken from None
        finally:
            other_end.close()
        own_end.setblocking(False)
        return await Worker.known(own_end)

    def close(self) -> None:
        """End all workers. They end with the parent process."""
        self._control.close()
        self._parent.join(2)
        if self._parent.is_alive():
            self._parent.kill()


class Worker:
    """One worker process, as the detector's event loop sees it."""

    def __init__(self, channel: socket.socket, pid: int) -> None:
        self._channel, self._pid = channel, pid
        try:
            self._handle = os.pidfd_open(pid)
        except OSError:
            channel.close()
            raise LookBroken from None

    @classmethod
    async def known(cls, channel: socket.socket) -> Worker:
        """Create a worker from its channel, on which it sends its process id first."""
        try:
            (pid,) = struct.unpack(">I", await _receive_exactly(channel, 4))
        except (OSError, LookBroken):
            channel.close()
            raise LookBroken from None
        return cls(channel, pid)

    async def look(self, body: bytes) -> bytes:
        """Process one request."""
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._channel, _HEAD.pack(0, len(body)) + body)
            kind, size = _HEAD.unpack(await _receive_exactly(self._channel, _HEAD.size))
            answer = await _receive_exactly(self._channel, size)
        except OSError:
            raise LookBroken from None
        if kind == SLOW:
            raise LookSlow
        if kind == MALFORMED:
            raise LookMalformed
        return answer

    def processor_s(self) -> float | None:
        """Processor time that the worker has used, in seconds. None: it has ended, or the kernel does not count it."""
        try:
            return int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[0]) / 1e9
        except (OSError, ValueError, IndexError):
            return None

    def yield_to_others(self) -> None:
        """Lower the priority of the worker's remaining work."""
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._pid, NICE)

    def kill(self) -> None:
        """Kill the worker."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            os.close(self._handle)
            self._handle = -1
            self._channel.close()


class Lane:
    """Workers for requests of similar length (short or long), which workloads take in turn.

    A workload uses at most `share` workers at a time, and there is one more worker than that. So a workload with
    slow texts never blocks the others.
    """

    def __init__(self, workers: Workers, nice: int, share: int) -> None:
        self._workers, self._nice, self._share = workers, nice, share
        self._idle: list[Worker] = []
        self._using: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[Worker]]] = OrderedDict()
        self._making: set[asyncio.Task[None]] = set()
        self.busy = self._slow = 0

    async def start(self) -> None:
        """Fork the workers. Raises LookBroken."""
        for _ in range(self._share + 1):
            self.add(await self._workers.fork(self._nice))

    def add(self, worker: Worker) -> None:
        """Add a free worker, and assign it to the next workload."""
        self._idle.append(worker)
        self._assign()

    def _assign(self) -> None:
        """Assign free workers to waiting workloads, in turn."""
        while self._idle:
            workload = next((name for name in self._waiting if self._using[name] < self._share), None)
            if workload is None:
                return
            queue = self._waiting.pop(workload)
            waiting = queue.popleft()
            if queue:
                self._waiting[workload] = queue  # behind the other workloads
            if not waiting.done():
                self._using[workload] += 1
                waiting.set_result(self._idle.pop())

    async def look(self, workload: str, body: bytes) -> bytes:
        """See `Workers.look`."""
        worker = await self._next(workload)
        self.busy += 1
        looking = asyncio.ensure_future(worker.look(body))
        replaced = False
        try:
            if self._nice == 0:
                await _wait_done_or_slow(looking, worker)
                if not looking.done():
                    if self._slow >= MAX_SLOW:
                        raise LookSlow
                    self._slow += 1
                    replaced = True
                    worker.yield_to_others()
                    self._make()
            answer = await looking
        except (LookSlow, LookMalformed) as error:
            self._end(worker, replaced, kill=not looking.done() or looking.cancelled())
            if not looking.done():
                looking.cancel()
            raise error
        except BaseException as error:
            looking.cancel()
            self._workers.lost += isinstance(error, LookBroken)
            self._end(worker, replaced, kill=True)
            raise
        else:
            self._end(worker, replaced, kill=False)
            return answer
        finally:
            self.busy -= 1
            self._slow -= replaced
            self._release(workload)

    def _release(self, workload: str) -> None:
        """Note that the workload uses one worker fewer."""
        self._using[workload] -= 1
        if self._using[workload] <= 0:
            del self._using[workload]
        self._assign()

    async def _next(self, workload: str) -> Worker:
        if self._idle and self._using[workload] < self._share:
            self._using[workload] += 1
            return self._idle.pop()
        waiting: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(workload, deque()).append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():  # a worker was assigned at the same moment
                self._idle.append(waiting.result())
                self._release(workload)
            raise

    def _end(self, worker: Worker, replaced: bool, *, kill: bool) -> None:
        if replaced:
            worker.kill()  # its replacement already runs
        elif kill:
            worker.kill()
            self._make()
        else:
            self.add(worker)

    def _make(self) -> None:
        """Fork a new worker in the background."""

        async def make() -> None:
            pause = 0.05
            while self._workers.alive:
                try:
                    self.add(await self._workers.fork(self._nice))
                except LookBroken:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, 2.0)
                else:
                    return

        task = asyncio.ensure_future(make())
        self._making.add(task)
        task.add_done_callback(self._making.discard)


async def _wait_done_or_slow(looking: asyncio.Future[bytes], worker: Worker) -> None:
    """Wait until the work is done, or the worker has used `SLOW_S` of processor time for it."""
    begin, left = worker.processor_s(), SLOW_S
    while not looking.done() and left > 0:
        await asyncio.wait([looking], timeout=max(left, 0.005))
        now = worker.processor_s()
        left = 0.0 if begin is None or now is None else begin + SLOW_S - now


async def _receive_exactly(channel: socket.socket, size: int) -> bytes:
    loop, data = asyncio.get_running_loop(), bytearray()
    while len(data) < size:
        piece = await loop.sock_recv(channel, min(size - len(data), 1 << 20))
        if not piece:
            raise LookBroken
        data += piece
    return bytes(data)


def _run_parent(begin: Callable[[Any], tuple[str, Look]], settings: Any, control: socket.socket) -> None:
    """Run the parent process: load everything once, and fork a worker for each socket that arrives."""
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    version, look = begin(settings)
    gc.collect()
    gc.freeze()  # otherwise the collector copies shared pages in each worker
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended workers need no wait
    control.sendall(version.encode())
    while True:
        message, files, _, _ = socket.recv_fds(control, 1, 1)
        if not message or not files:
            return
        if os.fork() == 0:
            status = 1
            try:
                control.close()
                _run_worker(socket.socket(fileno=files[0]), message[0], look)
                status = 0
            finally:
                os._exit(status)
        os.close(files[0])


def _run_worker(channel: socket.socket, nice: int, look: Look) -> None:
    """Run a worker: process requests until the channel closes."""
    _end_with_parent()
    os.nice(nice)
    channel.setblocking(True)
    channel.sendall(struct.pack(">I", os.getpid()))
    while head := _read(channel, _HEAD.size):
        _, size = _HEAD.unpack(head)
        body = _read(channel, size)
        try:
            kind, answer = OK, look(body)
        except TimeoutError:
            kind, answer = SLOW, b""
        except (ValueError, KeyError, TypeError, RecursionError):
            kind, answer = MALFORMED, b""
        channel.sendall(_HEAD.pack(kind, len(answer)) + answer)


def _read(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = channel.recv(min(size - len(data), 1 << 20))
        if not piece:
            return b""
        data += piece
    return bytes(data)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # ends with its parent, even if that is killed
