"""Data: phrases of prompt attacks, in the languages of the rules.

They find attacks that are copied from lists. Rephrased attacks need a guard model. The rights of the application, not
these patterns, bound the harm that an answer can do.
"""

from __future__ import annotations

from edge.redaction.recogniser import Recogniser

ATTACK = "PROMPT_ATTACK"

_SOME, _FEW = r"(?: \w{1,12}){0,3}", r"(?: \w{1,12}){0,2}"
_PATTERNS = (
    (
        rf"(?:ignore|disregard|forget|override|bypass){_SOME} (?:previous|prior|above|earlier|preceding|all|your){_FEW}"
        r" (?:instructions?|prompts?|rules|directives|guidelines|messages)"
    ),
    (
        rf"(?:reveal|print|show|repeat|output|leak|tell me){_SOME} (?:system|initial|hidden|developer)"
        r" (?:prompt|message|instructions?)"
    ),
    r"you are (?:now )?(?:dan|in developer mode|in god mode|jailbroken|unrestricted|no longer bound)",
    rf"(?:pretend|act as if|imagine){_SOME} (?:no|without(?: any)?) (?:rules|restrictions|guidelines|filters|limits)",
    r"<\|(?:im_start|im_end|system|endoftext|start_header_id|end_header_id|eot_id)\|>",
    r"\[/?INST\]|<</?SYS>>",
    (
        rf"(?:ignoriere|vergiss|missachte){_SOME} (?:vorherigen?|bisherigen?|obigen?|alle|deine){_FEW}"
        r" (?:anweisungen|instruktionen|regeln|vorgaben)"
    ),
    rf"(?:ignore[sz]?|oublie[sz]?){_SOME} (?:instructions?|consignes|règles){_FEW} (?:précédentes?|ci-dessus)",
    rf"(?:ignora|dimentica|ignorate){_SOME} (?:istruzioni|regole)(?: \w{{1,12}})? precedenti",
    rf"(?:ignor[ae]|olvid[ae]){_SOME} (?:instrucciones|reglas|indicaciones)(?: \w{{1,12}})? (?:anteriores|previas)",
)

ATTACKS: tuple[Recogniser, ...] = tuple(
    Recogniser(ATTACK, f"attack-{number}", f"(?i:{pattern})", sort="free", alone=False, score=0.85)
    for number, pattern in enumerate(_PATTERNS, 1)
)
