"""Interpretation of (0018,0015) *Body Part Examined*, which other modalities than MG fill in any language."""

import re
import unicodedata


def _set_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Without accents and in capitals; whole words, because BRUSTWIRBELSAEULE is none of them.
_BREAST = _set_of("""
    LBREAST RBREAST MAMMA MAMMAE MAMMAS MAMMO MAMA MAMAS MAMAE MAMELLE MAMMELLA MAMMELLE
    BRUST BRUESTE BRUSTE BRUSTDRUESE BRUSTDRUSE SEIN SEINS BORST BORSTEN BROST BRYST BRYSTER BRJOST
    PIERS PIERSI SUTEK SUTKI PRS PRSY PRSNIK PRSNIKY DOJKA DOJKE DOJKI GRUDI EMLO MELL MEME RIND RINTA RINNAT
    KRUTIS KRUTYS KRUTS ΜΑΣΤΟΣ ΜΑΣΤΟΙ ГРУДЬ МОЛОЧНАЯ МОЛОЧНЫЕ ГЪРДА МЛЕЧНА ثدي الثدي שד 乳房 乳腺 マンモ 유방
    """)
_BREAST_STEMS = ("BREAST", "MAMMOGR", "MAMOGR", "MAMMAR")
# Italian, Spanish and Portuguese: the breast, but also a sinus, as in SENO FRONTALE.
_AMBIGUOUS = _set_of("SENO SENI SENOS SEIO SEIOS PECHO PECHOS PETTO PEITO")
_SIDES = _set_of("""
    D S L R DX SX DES DESTRO DESTRA DEXTRO DER DERECHO DERECHA IZQ IZQUIERDO IZQUIERDA SIN SINISTRO SINISTRA ESQ
    ESQUERDO ESQUERDA DIR DIREITO DIREITA BIL BILAT BILATERAL BILATERALE BILATERALI LEFT RIGHT E Y AMBOS CC MLO
    """)
_UNKNOWN = _set_of("""
    UNKNOWN UNKOWN UNK UNDEFINED UNDEF UNSPECIFIED OTHER OTHERS NONE NULL NA NOS ANY XXX UNBEKANNT UNBESTIMMT SONSTIGE
    SONSTIGES INCONNU INCONNUE AUTRE DESCONOCIDO OTRO OTROS SCONOSCIUTO ALTRO ONBEKEND OVERIG DESCONHECIDO OUTRO OUTROS
    """) | {"", "N A", "NOT SPECIFIED", "NOT DEFINED", "NICHT ANGEGEBEN"}


def may_be_breast(part: str) -> bool:
    """Return False if a body part is stated and is not the breast in any known language."""
    words = _tokens(part)
    if " ".join(words) in _UNKNOWN or any(
        word in _BREAST or word.startswith(_BREAST_STEMS) for word in words
    ):
        return True
    rest = set(words) - _AMBIGUOUS
    return len(rest) < len(set(words)) and rest <= _SIDES


def _tokens(part: str) -> list[str]:
    """Split into words in capitals without accents."""
    folded = unicodedata.normalize("NFKD", part.upper())
    bare = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return re.findall(r"[^\W\d_]+", unicodedata.normalize("NFKC", bare))


def as_utf_8(text: str) -> str:
    """Return text that was read as Latin-1 although its bytes are UTF-8; otherwise unchanged."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
