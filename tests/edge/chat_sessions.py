"""A person's page in the real Open WebUI, without a browser: it signs in and asks over a polled socket."""

from __future__ import annotations

import json
import queue
import threading
import time
import uuid
from typing import Any

import httpx

ANSWER_S = 120


class Session:
    """A person's page: signed in to Open WebUI, polling its socket all the time, as the real page does.

    The server ends a socket that has answered no ping for 45 seconds, so it is polled between questions too.
    """

    def __init__(self, client: httpx.Client, model: str) -> None:
        """`client`: of somebody whom the sign-on knows. `model`: the only one that the chat may offer."""
        self.client, self.model = client, model
        signed_in = self.client.post("/api/v1/auths/signin", json={"email": "", "password": ""})
        assert signed_in.status_code == 200, signed_in.text
        own = signed_in.json()["token"]
        self.client.headers["authorization"] = f"Bearer {own}"
        assert [model["id"] for model in self.client.get("/api/models").json()["data"]] == [model]
        opened = self._poll({})
        self.polling = {"sid": json.loads(opened[0][1:])["sid"]}
        self._send(f"40{json.dumps({'token': own})}")
        (connected,) = [packet for packet in self._poll() if packet.startswith("40")]
        self.socket = json.loads(connected[2:])["sid"]
        self.polled: queue.Queue[list[str] | Exception] = queue.Queue()
        self.closing = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """End the page: the next poll does not come."""
        self.closing.set()
        self.client.close()

    def ask(self, question: str = "What was paid for?") -> tuple[str, int]:
        """An answer, and in how many polls it came."""
        message_id = str(uuid.uuid4())
        asked = {"id": str(uuid.uuid4()), "role": "user", "content": question}
        body: dict[str, Any] = {
            **{
                "model": self.model,
                "stream": True,
                "messages": [{"role": "user", "content": asked["content"]}],
            },
            **{"session_id": self.socket, "chat_id": f"temporary:{self.socket}", "id": message_id},
            **{"user_message": asked, "parent_id": asked["id"]},
        }
        started = self.client.post("/api/chat/completions", json=body)
        assert started.status_code == 200, started.text
        polls = 0
        seen: list[str] = []
        end = time.monotonic() + ANSWER_S
        while True:
            try:
                packets = self.polled.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                said = f"no end of answer {message_id} after {ANSWER_S} s; packets: {seen}"
                raise AssertionError(said) from None
            if isinstance(packets, Exception):
                raise packets
            seen += packets
            events = [event for packet in packets if (event := _event(packet, message_id)) is not None]
            assert not [event for event in events if event["data"].get("error")], events
            polls += any(event["type"] == "response:completion" for event in events)
            for event in events:
                if event["type"] == "chat:completion" and event["data"].get("done"):
                    return event["data"]["output"][0]["content"][0]["text"], polls

    def _listen(self) -> None:
        while not self.closing.is_set():
            try:
                packets = self._poll()
                if "2" in packets:
                    self._send("3")
            except (httpx.HTTPError, AssertionError) as error:  # whoever asks next raises it
                self.polled.put(error)
                return
            self.polled.put(packets)

    def _poll(self, query: dict[str, str] | None = None) -> list[str]:
        sid = self.polling if query is None else query
        response = self.client.get("/ws/socket.io/", params={"EIO": "4", "transport": "polling", **sid})
        assert response.status_code == 200, response.text
        return response.text.split("\x1e")

    def _send(self, packet: str) -> None:
        query = {"EIO": "4", "transport": "polling", **self.polling}
        headers = {"content-type": "text/plain;charset=UTF-8"}
        assert self.client.post("/ws/socket.io/", params=query, content=packet, headers=headers).text == "OK"


def _event(packet: str, message_id: str) -> dict[str, Any] | None:
    """What a packet says of the answer to a message."""
    if not packet.startswith("42"):
        return None
    name, *values = json.loads(packet[2:])
    if name != "events" or values[0].get("message_id") != message_id:
        return None
    return values[0]["data"]
