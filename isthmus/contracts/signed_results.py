"""Signs results of evaluations, and reads them with what their signature proves.

The signature is a file beside the result: `RESULT.json.sig`, as `ssh-keygen -Y sign -n isthmus-evaluation` writes it.
So the digest of the result stays what it is, and `ssh-keygen -Y verify` checks it, too.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from isthmus.contracts.evaluation_result import EvaluationResult
from isthmus.contracts.trust import FILE as TRUST_FILE
from isthmus.contracts.trust import Entry, Trust
from isthmus.contracts.vocabulary import Part
from isthmus.core import yaml_files
from isthmus.core.digests import sha256_of
from isthmus.core.errors import InputError

NAMESPACE = "isthmus-evaluation"
SUFFIX = ".sig"
"""Follows the whole name of the result."""
_ENDPOINT = r"[a-z0-9][a-z0-9-]*"
"""Ids of endpoints. They are in names of files."""


class SignedResult(Part):
    """A result, and who signed it."""

    result: EvaluationResult
    sha256: str
    """Digest of the file."""
    signer: str | None
    """Public key of who signed exactly this content (`ssh-ed25519 BASE64`). None: nobody did."""
    fault: str = ""
    """Why nobody signed it."""

    def evaluator(self, trust: Trust, today: date) -> Entry | None:
        """The trusted evaluator who made this official result. None: the result is not official.

        Args:
            trust: of the project.
            today: the day on which the evaluator must be trusted.
        """
        if self.signer is None or not self.result.official:
            return None
        return trust.find("evaluators", self.signer, today)

    def why_unofficial(self, trust: Trust, today: date) -> str:
        """Why the result is not official; empty if it is."""
        if self.signer is None:
            return self.fault
        if trust.find("evaluators", self.signer, today) is None:
            return f"its signer is not among the `evaluators` of {TRUST_FILE}: {self.signer}"
        if not self.result.official:
            return "it was made for development: in a sandbox, not to its end, or by who was not trusted then"
        return ""


def read_named(folder: Path, name: str, sha256: str) -> SignedResult:
    """A result that somebody names by its path below `folder` and its digest. Raises `InputError`, as `read`."""
    content = (folder / name).read_bytes()
    if (digest := sha256_of(content)) != sha256:
        raise InputError(
            f"the result {name} has changed: its digest is {digest}",
            fix="Undo the change, or read the result and write its digest",
        )
    return _parse(folder / name, content)


def read(file: Path) -> SignedResult:
    """A result with its signature. Raises `InputError` if it is not a result of this version."""
    return _parse(file, file.read_bytes())


def _parse(file: Path, content: bytes) -> SignedResult:
    try:
        result = EvaluationResult.model_validate_json(content)
    except ValidationError:
        raise InputError(
            f"{file.name} is not a result of this version",
            where=str(file),
            fix="Write it with `isthmus evaluate`",
        ) from None
    fault = _signature_fault(file, content, result)
    return SignedResult(
        result=result,
        sha256=sha256_of(content),
        signer=None if fault else result.evaluated_by,
        fault=fault,
    )


def file_name(result: EvaluationResult) -> str:
    """The usual name of a result: when it ended, and which endpoint it is about. Raises `InputError`."""
    subject = result.candidate or result.serving
    assert subject is not None, "an evaluation has a version in use"
    if not re.fullmatch(_ENDPOINT, subject.endpoint):
        raise InputError(f"the result is about {subject.endpoint!r}, which is no endpoint's id")
    return f"{result.ended:%Y-%m-%dT%H%M%S}-{subject.endpoint}.json"


def write(file: Path, result: EvaluationResult, private_key: bytes | None) -> None:
    """Write a result, and its signature beside it.

    Args:
        file: of the result.
        result: with the public key of `private_key` as `evaluated_by`.
        private_key: of who evaluated. None: the result stays without a signature.
    """
    text = result.model_dump_json(indent=1) + "\n"
    signature = signature_of(file)
    signature.unlink(missing_ok=True)
    yaml_files.write_text(file, text)
    if private_key is not None:
        from edge import ssh_signatures

        yaml_files.write_text(signature, ssh_signatures.sign(text, NAMESPACE, private_key))


_BEGIN, _END = "-----BEGIN ISTHMUS EVALUATION-----", "-----END ISTHMUS EVALUATION-----"
"""Lines of a job's log around a result and its signature."""


def as_log(file: Path) -> str:
    """A signed result as lines of a log, from which `from_log` reads it again."""
    return f"{_BEGIN}\n{file.read_text('utf-8')}{signature_of(file).read_text('utf-8')}{_END}"


def from_log(log: str, where: str) -> tuple[str, str]:
    """The texts of the last whole result in a job's log, and of its signature. Raises `InputError` without one."""
    from edge import ssh_signatures

    found = re.findall(rf"^{_BEGIN}\n(.*?)^{_END}$", log.replace("\r\n", "\n"), re.MULTILINE | re.DOTALL)
    result, mark, signature = found[-1].rpartition(ssh_signatures.BEGIN) if found else ("", "", "")
    if not mark:
        raise InputError(
            "the log has no result of an evaluation",
            where=where,
            fix="Wait for the end of the job. If it failed, the last lines of its log say why",
        )
    return result, mark + signature


def write_texts(file: Path, result: str, signature: str) -> SignedResult:
    """Write a result and its signature exactly as they are, and read them."""
    yaml_files.write_text(file, result)
    yaml_files.write_text(signature_of(file), signature)
    return read(file)


def signature_of(file: Path) -> Path:
    """The file of a result's signature."""
    return file.with_name(f"{file.name}{SUFFIX}")


def _signature_fault(file: Path, content: bytes, result: EvaluationResult) -> str:
    """Why the result counts as signed by nobody; empty if its signature is right."""
    from edge import ssh_signatures

    signature = signature_of(file)
    if not signature.is_file():
        return f"it is not signed: there is no {signature.name}"
    if result.evaluated_by is None:
        return "it does not say who evaluated"
    try:
        text, armored = content.decode("utf-8"), signature.read_text("utf-8")
        ssh_signatures.verify(armored, text, NAMESPACE, result.evaluated_by)
    except (ValueError, IndexError) as error:
        what = str(error) if isinstance(error, ssh_signatures.BadSignature) else "it cannot be read"
        return f"its signature {signature.name} is not valid: {what}"
    return ""
