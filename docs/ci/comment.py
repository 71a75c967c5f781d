"""Write the one comment of a preview. Runs nothing of the branch: what was rendered is text here, and may be a lie.

    python3 comment.py github      needs GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN, and RUN, the run that rendered
    python3 comment.py gitlab      needs CI_API_V4_URL, PROJECT, ISTHMUS_COMMENT_TOKEN; every open merge request

Which pull request it is, which commit, and how the run ended are asked of the server, never read out of the artifact.
Needs Python 3.11 and nothing else.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from typing import Any

MARK = "<!-- isthmus preview -->"
"""How the comment is found again."""
LONGEST = 62_000
"""Characters of a preview; servers take 65,536 of a comment, and Isthmus writes 60,000."""
LARGEST = 20_000_000
"""Bytes that are read of any answer."""
ABANDONED = re.compile(
    "[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]"
)


class Api:
    """A server's REST interface; a token goes to it and not to where it sends us on."""

    def __init__(self, base: str, header: tuple[str, str]) -> None:
        if not base.startswith(("https://", "http://127.0.0.1:")):
            raise SystemExit(f"{base}: a token is not sent without TLS")
        self._base, self._header = base.rstrip("/"), header

    def get(self, path: str) -> Any:
        return json.loads(self.read(path))

    def read(self, path: str) -> bytes:
        return self._ask("GET", path)[0]

    def write(self, method: str, path: str, what: dict[str, str]) -> None:
        self._ask(method, path, what)

    def pages(self, path: str, limit: int = 50) -> Iterator[Any]:
        """Entries of a list over its pages."""
        for page in range(1, limit + 1):
            found = self.get(f"{path}{'&' if '?' in path else '?'}per_page=100&page={page}")
            yield from found
            if len(found) < 100:
                return

    def _ask(self, method: str, path: str, what: dict[str, str] | None = None) -> tuple[bytes, Any]:
        data = None if what is None else json.dumps(what).encode()
        asked = urllib.request.Request(f"{self._base}/{path}", data, method=method)  # noqa: S310 - https, see above
        asked.add_header("Content-Type", "application/json")
        asked.add_unredirected_header(*self._header)
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 - https, see above
            return answer.read(LARGEST), answer.headers


def body(preview: str | None, ended: str, commit: str, run: str) -> str:
    """The comment. A run that did not end well, or left nothing, is never a green one."""
    told = f"Rendered from `{commit[:12]}` by code of this branch, without secrets: [the run]({run})."
    lines = [MARK, told]
    if ended != "success":
        lines.append(f"**The run ended with: {ended}.** What stands below may not be all of it.")
    if preview is None:
        lines.append("**There is no preview.** Nothing is known of what this would change; this is no pass.")
    else:
        text = ABANDONED.sub("\N{REPLACEMENT CHARACTER}", preview.replace("\r\n", "\n"))
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}\n\n**Cut here:** the preview is longer than a comment may be."
        lines.append(text)
    return "\n\n".join(lines)


def github(env: dict[str, str]) -> list[str]:
    """Comment on the pull request whose head the run rendered; none, if it has moved on since."""
    api = Api(env["GITHUB_API_URL"], ("Authorization", f"Bearer {env['GITHUB_TOKEN']}"))
    repository = f"repos/{env['GITHUB_REPOSITORY']}"
    run = api.get(f"{repository}/actions/runs/{int(env['RUN'])}")
    if run["event"] != "pull_request":
        raise SystemExit(f"run {env['RUN']} is of {run['event']}, not of a pull request")
    head = urllib.parse.quote(f"{run['head_repository']['owner']['login']}:{run['head_branch']}", safe="")
    pulls = [
        each
        for each in api.pages(f"{repository}/pulls?state=open&head={head}")
        if each["head"]["sha"] == run["head_sha"]
    ]
    text = body(
        _github_preview(api, repository, run["id"]), run["conclusion"], run["head_sha"], run["html_url"]
    )
    told = []
    for pull in pulls:
        issue = f"{repository}/issues/{int(pull['number'])}/comments"
        own = [
            each
            for each in api.pages(issue)
            if each["user"]["login"] == "github-actions[bot]" and each["body"].startswith(MARK)
        ]
        if own:
            api.write("PATCH", f"{repository}/issues/comments/{int(own[0]['id'])}", {"body": text})
        else:
            api.write("POST", issue, {"body": text})
        told.append(f"#{pull['number']}")
    return told


def _github_preview(api: Api, repository: str, run: int) -> str | None:
    found = api.get(f"{repository}/actions/runs/{run}/artifacts?name=preview")["artifacts"]
    for each in found:
        if not each["expired"]:
            try:
                with zipfile.ZipFile(
                    io.BytesIO(api.read(f"{repository}/actions/artifacts/{each['id']}/zip"))
                ) as pack:
                    return _text(pack.open("preview.md").read(4 * LONGEST + 4))
            except (KeyError, zipfile.BadZipFile):
                return None
    return None


def gitlab(env: dict[str, str]) -> list[str]:
    """Comment on every open merge request whose newest pipeline has ended and is not told of yet."""
    api = Api(env["CI_API_V4_URL"], ("PRIVATE-TOKEN", env["ISTHMUS_COMMENT_TOKEN"]))
    project = f"projects/{urllib.parse.quote(env['PROJECT'], safe='')}"
    me, told = api.get("user")["id"], []
    for request in list(api.pages(f"{project}/merge_requests?state=opened")):
        here = f"{project}/merge_requests/{int(request['iid'])}"
        # Newest first. A fork's pipelines run in the fork, whose artifacts are none of ours.
        ran = [
            each
            for each in api.get(f"{here}/pipelines")
            if each["source"] == "merge_request_event" and each["project_id"] == request["target_project_id"]
        ]
        if not ran or ran[0]["status"] not in ("success", "failed", "canceled"):
            continue
        jobs = api.get(f"{project}/pipelines/{int(ran[0]['id'])}/jobs?per_page=100")
        job = next((each for each in jobs if each["name"] == "render"), None)
        if job is None:
            continue
        text = body(_gitlab_preview(api, project, job["id"]), job["status"], ran[0]["sha"], job["web_url"])
        own = [
            each
            for each in api.pages(f"{here}/notes")
            if each["author"]["id"] == me and each["body"].startswith(MARK)
        ]
        if own and own[0]["body"].strip() == text.strip():
            continue
        if own:
            api.write("PUT", f"{here}/notes/{int(own[0]['id'])}", {"body": text})
        else:
            api.write("POST", f"{here}/notes", {"body": text})
        told.append(f"!{request['iid']}")
    return told


def _gitlab_preview(api: Api, project: str, job: int) -> str | None:
    try:
        return _text(api.read(f"{project}/jobs/{int(job)}/artifacts/preview.md")[: 4 * LONGEST + 4])
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


if __name__ == "__main__":
    servers = {"github": github, "gitlab": gitlab}
    if len(sys.argv) != 2 or sys.argv[1] not in servers:
        raise SystemExit("comment.py github|gitlab")
    print("commented on:", ", ".join(servers[sys.argv[1]](dict(os.environ))) or "nothing")
