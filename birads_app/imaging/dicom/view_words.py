"""Views, sides, modifiers and kinds of images in free text: View Position, code meanings, descriptions.

Modalities write them in English, German, French, Spanish, Portuguese, Italian and Dutch, as words or as the
abbreviations of the ACR manual that CID 4014 and 4015 quote: ``RMCC``, ``MLO ID``, ``LCCRL``.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class TextSource(StrEnum):
    """Place of a text in the header.

    POSITION : View Position, in which single letters are sides and modifiers
    MEANING : a code's meaning, which is about the view alone
    DESCRIPTION : free text, in which an abbreviation counts only beside a view
    """

    POSITION = "position"
    MEANING = "meaning"
    DESCRIPTION = "description"


@dataclass(frozen=True)
class ViewWords:
    """Meaning of a text; names as in :mod:`birads_app.terms.views`.

    unknown : True if words are left that mean nothing here
    """

    views: frozenset[str] = frozenset()
    sides: frozenset[str] = frozenset()
    modifiers: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    unknown: bool = False


# Patterns over upper-case words without accents and hyphens, in this order; what one matches, later ones do not see.
_VIEW_PHRASES = (
    ("SIO", r"SUPERO ?LATERAL\w*(?: TO)? INFERO ?MEDIAL\w*"),
    ("ISO", r"INFERO ?MEDIAL\w*(?: TO)? SUPERO ?LATERAL\w*"),
    ("CC", r"(?:[CK]RANI[OA]L?|CRANEO|[CK]EPHALO|CEFALO|ZEPHALO) ?[CK]AUDA\w*|FACE"),
    ("FB", r"[CK]AUD[OA]L? ?[CK]RAN\w*(?: FROM BELOW)?|FROM BELOW"),
    ("ML", r"MEDI[OA]L? ?LATERAL\w*"),
    ("LM", r"LATER[OA]L? ?MEDIAL\w*"),
    ("oblique", r"OBLI\w*|OBL|SCHRAE?G\w*|SCHUIN\w*"),
    ("exaggerated", r"EXAG\w*|ESAGER\w*|EXTENDED|UE?BERDREHT\w*|E[XC][CZ]ENTR\w*|OVERDREVEN"),
)
_KIND_PHRASES = (
    (
        "specimen",
        r"E?SPECIMEN?\w*|(?:\w+ )?PRAE?PARAT\w*|PREPAR(?:AAT|ATO)\w*|PIECES?|PIEZAS?|PEZZ[IO]|PECAS?|CAMPION[EI]|"
        r"RESE[CK](?:T|TE|TAT\w*)|EX[CZ]ISAT\w*|EXZISAT\w*|CAROTTES?",
    ),
    ("subtraction", r"SUBS?TRA[CK]\w*|SOUSTRA\w*|SUSTRAC\w*|SOTTRA\w*"),
    ("recombined image", r"(?:GE)?R[EI][CK]OMB\w*|DUAL ?ENERG\w*|IODINE\w*"),
    ("high-energy image", r"HIGH ?ENERG\w*|HOCHENERG\w*|HAUTE ENERG\w*|ALTA ENERG\w*|HOGE ENERG\w*"),
    (
        "tomosynthesis projection",
        r"(?:TOMO\w*|DBT|RAW) (?:RAW )?PROJ\w*|PROJ\w* (?:TOMO\w*|DBT|RAW)|TOMOPROJ\w*|"
        r"PRO(?:YEC|IE|JEC)\w*[IES] (?:DE )?TOMO\w*|(?:TOMO\w*|DBT) RAW(?: DATA)?|RAW (?:TOMO\w*|DBT)",
    ),
    (
        "tomosynthesis slice",
        r"(?:TOMO\w*|DBT) (?:\w+ )?(?:SLICES?|SLABS?|SCHICHT\w*|COUPES?|CORTES?|STRAT[OI])|"
        r"(?:SLICES?|SLABS?|SCHICHT\w*|COUPES?|CORTES?|STRAT[OI]) (?:DE |DI )?(?:TOMO\w*|DBT)",
    ),
    ("stereotactic image", r"E?STEREO\w*"),
    (
        "image of an intervention",
        r"\w*BIOPS\w*|BIOPT\w*|VAKUUM\w*|VACUUM\w*|VABB?|MAMMOTOM\w*|(?:PRE|POST) ?FIRE|NEEDLE\w*|\w*NADEL\w*|"
        r"HARPON\w*|ARPON\w*|(?:HOOK ?)?WIRE\w*|DRAHT\w*|FILO GUIDA|FIO METAL\w*|AGULH\w*|REPERAG\w*|CLIP\w*|"
        r"PRAE?OPERATIVE? MARKIERUNG|MARCA(?:CAO|JE|CION|TURA)|(?:MAG|RADIO)?SEEDS?|"
        r"\w*LOCALI[SZ]A[TCZ]I?\w+|\w*LOKALISA\w*|"
        r"LOCALIZZAZ\w*|LOKALISIER\w*",
    ),
    ("galactogram", r"\w*GALA[CKT]TO\w*|DU[CKT]TOGRA\w*"),
    ("localizer", r"LOCALIZ(?:ER|ADOR|ZATORE)\w*|SCOUT\w*|TOPOGRAM\w*"),
    (
        "screen capture",
        r"SCREEN ?(?:SAVE|SHOT|CAPTURE)\w*|BILDSCHIRM\w*|CAPTURA (?:DE )?(?:PANTALLA|TELA)|CAPTURE ECRAN|"
        r"SCHERMA(?:TA|FDRUK)",
    ),
)
_MODIFIER_PHRASES = (
    (
        "implant displaced",
        r"E[CK]+LUND\w*|PUSH(?:ED)? ?BACK\w*|REFOUL\w*|IMPLANTATVERSCH\w*|IMPLANTAT ZURUE?CK\w*|"
        r"(?:DISPL|DEPLAC|DESPLAZ|DESLOC|SPOSTAT|DISLOC|VERSCH[OU][BV]|VERLAGER|VERPLAATS)\w*"
        r"(?: DE)?(?: IMPLANT\w*| PROT\w*)?|"
        r"(?:IMPLANT|PROTH?ES)\w* (?:DISPL|DEPLAC|REFOUL|DESPLAZ|DESLOC|SPOSTAT|DISLOC|"
        r"VERSCH[OU][BV]|VERLAGER|VERPLAATS|VERDRANG)\w*",
    ),
    (
        "magnification",
        r"(?:UIT)?VERGRO+E?[ST]\w*|VERGR|MAGNIF\w*|MAGN?|AGRANDI?\w*|AGR|AMPLIA\w*|AMPLIFIC\w*|INGRAND\w*|INGR|"
        r"ENLARG\w*|LUPEN?\w*|GROSSISS\w*|ZOOM\w*|AUMENT\w*|MACRO|"
        r"X 1 [5-9]|1 [5-9] X",
    ),
    (
        "anterior compression",
        r"(?:ANTERI\w*|VORDERE?) [CK]OMPR\w*|[CK]OMPR\w* ANTERI\w*",
    ),
    (
        "spot compression",
        r"(?:[CK]OMPR\w* )?(?:SPOT\w*|SPT|FO[CK]AL\w*|LOCALI[SZ]+(?:ED?|EES?|AD\w*|AT\w*)|MIRAT\w*|"
        r"PUNTUAL\w*|GERICHT\w*|GEZIELT\w*|CIBLE\w*|SELE[CT]?TIV\w*)(?: [CK]OMPR\w*)?|ZIEL\w*|\w+KOMPRESS\w*|"
        r"(?:LOKALE?|PLAATSELIJKE|CONO|FOCO)(?: DE)? [CK]OMPR\w*|TUBUS\w*|CONED?(?: ?DOWN)?|DETAIL\w*|"
        r"DETTAGLI\w*|PARTICOLARE|(?:CLICHE|INCIDENCE|COMPRESSION|VUE) CENTREE?",
    ),
    ("rolled", r"(?:GE)?ROLL\w*|GEROLD\w*|ROULEE?|ROTA[CDTZ]\w*|ROTIER\w*|RUOTAT\w*|RODAD\w*|GEDREHT\w*"),
    ("tangential", r"TANGE\w*|TANG"),
    ("cleavage", r"CLEAVAGE\w*|CLIVA\w*|VALLEY?\w*|ESCOTE|DE[CK]OLLET\w*|INTER ?MAMM?A\w*"),
    (
        "axillary tail",
        r"AXILL?A\w* (?:TAIL|AUSLAE?UF\w*|FORTSATZ)|AXILL?A\w*AUSLAE?UF\w*|"
        r"(?:TAIL|CODA|COLA|CAUDA) (?:OF|DI|DE) SPENCE|"
        r"(?:PROLONG\w*|PROLUNG\w*|COLA|CODA|CAUDA) (?:AXILL?|ASCELL)\w*|OKSELUITLOP\w*|CLEOPATRA",
    ),
    ("axillary tissue", r"AXILL?A\w*(?: TISSUE)?|ACHSEL\w*|AISSELLE\w*|ASCELL\w*|OKSEL\w*"),
    (
        "nipple in profile",
        r"NIPPLE\w*(?: IN)?(?: PROFILE?)?|MAMM?IL(?:LE|[AO])\w*|PAPIL\w*|MAMELON\w*|PEZON\w*|CAPEZZOL\w*|TEPEL\w*|"
        r"BRUSTWARZE\w*",
    ),
    (
        "infra-mammary fold",
        r"INFRA ?MAMM?A\w*(?: FOLD)?|SUB ?MAMM?A\w*|UNTERBRUST\w*|(?:PLI |SILLON )?SOUS MAMM\w*|INFRAMAR\w*|"
        r"SOTTOMAMM\w*",
    ),
    ("part of a view", r"PART(?:IAL| OF A) VIEW|MOSAI[CK]\w*|TEILAUFNAHME\w*"),
    ("small field of view", r"SMALL FIELD(?: OF VIEW)?"),
)
_LATERAL, _MEDIAL = r"LAT|LATERAL(?:LY|E|ES)?|AUSSEN", r"MED|MEDIAL(?:LY|E|ES)?|INNEN"
_DIRECTIONS = (
    ("lateral", _LATERAL),
    ("medial", _MEDIAL),
    ("superior", r"SUPERIOR\w*|SUPERIEURE?|CRANIAL\w*|UP|OBEN"),
    ("inferior", r"INFERIOR\w*|INFERIEURE?|CAUDAL\w*|DOWN|UNTEN"),
)
_SIDE_WORDS = (
    ("R", r"RIGHT|RECHT(?:S|ER?|E[NS])?|DROITE?|DERECH[AO]|DESTR[AO]|DIREIT[AO]"),
    ("L", r"LEFT|LINK(?:S|ER?|E[NS])|GAUCHE|IZQUIERD[AO]|SINISTR[AO]|ESQUERD[AO]"),
)
_SHORT_SIDES = {"R": "R", "RT": "R", "L": "L", "LT": "L"}
# German, Italian, Spanish, French and Portuguese; in free text they are words too.
_LOCAL_SIDES = {
    **dict.fromkeys(("RE", "DX", "DCH", "DCHA", "DER", "DTA", "DIR", "D"), "R"),
    **dict.fromkeys(("LI", "SX", "SIN", "IZQ", "IZDA", "ESQ", "G", "I", "E"), "L"),
}

# An abbreviated view with side and modifiers, such as RMCC, LMLOID or CCD.
_ABBREVIATION = re.compile(
    r"(?P<side>RIGHT|LEFT|RT|LT|R|L)?(?P<before>(?:MAG|SPOT|M|S)*)"
    r"(?P<view>XCCL|XCCM|XCC|MLO|OML|LMO|SIO|ISO|CC|ML|LM|FB|TAN|CV|AT|AX|IMF)"
    r"(?P<after>(?:ID|RL|RM|RI|RS|NP|AC|IMF|TAN|MAGN?|SPOT|M|S)*)(?P<end>[RLDGIE])?"
)
_ALIASES = {"OML": "MLO"}
_ABBREVIATED = {
    "MAG": "magnification",
    "MAGN": "magnification",
    "M": "magnification",
    "SPOT": "spot compression",
    "S": "spot compression",
    "ID": "implant displaced",
    "RL": "rolled lateral",
    "RM": "rolled medial",
    "RI": "rolled inferior",
    "RS": "rolled superior",
    "NP": "nipple in profile",
    "AC": "anterior compression",
    "IMF": "infra-mammary fold",
    "TAN": "tangential",
    "AX": "axillary tissue",
    "CV": "cleavage",
    "AT": "axillary tail",
}
_NO_VIEW = {"TAN", "AX", "IMF"}  # modifiers that the manual writes in the view's place
# Abbreviations that are also words, units or diagnoses: free text has to name a side too.
_NEED_SIDE = {"ML", "LM", "FB", "SIO", "ISO", "TAN", "CV", "AX", "IMF"}
_SUBTRACTED = "SUB"
_ZERO_FOR_O = re.compile(r"(?<=\b[RL])ML0\b|\bML0\b", re.IGNORECASE)
# C.C., ML-O and the like, as normalised.
_SPELLED = re.compile(r"\bC C\b|\bM ?L O\b|\bL M O\b")
_NEGATION = r"(?:NOT|NON?|NICHT|NIET|OHNE|SANS|SENZA|SIN|SEM|ZONDER|WITHOUT|KEINE?) "

_IDLE = re.compile(
    r"\d+|UNKNOWN|UNSPECIFIED|NONE|NA|VIEWS?|PROJE[CK]TI(?:ON|E)|PROYECCION|PROIEZIONE|PROJECAO|INCIDEN\w+|AUFNAHME|"
    r"OPNAME|ANSICHT|VUE|VISTA|IMAGE|IMAGEN|BILD|BREASTS?|MAMMA|MAMMO\w*|MAMOGRA\w*|MG|BRUST|SEIN|MAMA|SENO|BORST|"
    r"DIGITAL\w*|STANDARD|STD|ROUTINE|SCREENING|DIAGNOSTIC\w*|NORMAL|[CK]ONTA[CK]T\w*|DE|DU|DES|DER|DIE|DAS|DEL|DELLA|EL|"
    r"LA|LE|THE|OF|FROM|TO|IN|TISSUE|TOMO\w*|DBT|COMBO|CVIEW|SYNTH\w*|LOW|ENERGY|FFDM|EXTERNE|BASE"
)


def read_words(text: str, source: TextSource) -> ViewWords:
    """Return the meaning of a text; several views or sides, if it names several."""
    left = normalised(_ZERO_FOR_O.sub("MLO", text))
    if source is not TextSource.DESCRIPTION:
        left = _SPELLED.sub(lambda found: found[0].replace(" ", ""), left)
    kinds, left = _take(_KIND_PHRASES, left)
    modifiers, left = _take(_MODIFIER_PHRASES, left)
    views, left = _take(_VIEW_PHRASES, left)
    sides, left = _take(_SIDE_WORDS, left)
    tokens = _Tokens(set(views), set(sides), set(modifiers), set(kinds), source)
    directions, rest = _take(_DIRECTIONS, " ".join(tokens.read(left.split())))
    _combine(tokens, directions)
    unknown = any(not _IDLE.fullmatch(word) for word in rest.split()) or bool(
        directions and not (tokens.modifiers or tokens.views)
    )
    unknown |= "?" in text and tokens.alone
    return ViewWords(
        frozenset(tokens.views),
        frozenset(tokens.sides),
        frozenset(tokens.modifiers),
        frozenset(tokens.kinds),
        unknown,
    )


def side_of(text: str) -> str | None:
    """Return "L" or "R" for a text that is about the side alone; None if it names none or both."""
    named, rest = _take(_SIDE_WORDS, normalised(text))
    named.update(_SHORT_SIDES.get(word) or _LOCAL_SIDES.get(word, "") for word in rest.split())
    return named.pop() if len(named := named - {""}) == 1 else None


def normalised(text: str) -> str:
    """Return a text's words in upper case, without accents, hyphens and French elisions."""
    decomposed = unicodedata.normalize("NFKD", text.replace("\N{LATIN SMALL LETTER SHARP S}", "ss"))
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter)).upper()
    plain = re.sub(r"\b[LD]['\u2019]|['\u2019]S\b|\b[23]-?D\b|\bC-VIEW\b", " ", plain)
    return " ".join(re.findall(r"[A-Z]+|\d+", plain))


def _take(phrases: Iterable[tuple[str, str]], text: str) -> tuple[set[str], str]:
    """Return the names whose pattern occurs as whole words and is not negated, and the text without them."""
    found = set()
    for name, pattern in phrases:
        pieces = re.compile(rf"\b({_NEGATION})?(?:{pattern})\b")
        if any(not piece[1] for piece in pieces.finditer(text)):
            found.add(name)
        text = " ".join(pieces.sub(" ", text).split())
    return found, text


@dataclass(frozen=True)
class _Tokens:
    """Meaning collected from phrases and then from abbreviations, in sets that grow."""

    views: set[str]
    sides: set[str]
    modifiers: set[str]
    kinds: set[str]
    source: TextSource

    @property
    def alone(self) -> bool:
        """True if the text is about the view alone."""
        return self.source is not TextSource.DESCRIPTION

    def read(self, tokens: list[str]) -> list[str]:
        """Take in the abbreviations; return the other words."""
        sided = bool(self.sides) or any(word in _SHORT_SIDES for word in tokens)
        others = [word for word in tokens if not self._abbreviation(word, sided)]
        if not (self.views or self.alone):
            return others
        return [word for word in others if not self._beside_view(word)]

    def _abbreviation(self, word: str, sided: bool) -> bool:
        found = _ABBREVIATION.fullmatch(word)
        if found is None or word == "LAT":
            return False
        parts = found.groupdict(default="")
        ambiguous = parts["view"] in _NEED_SIDE or parts["before"] or parts["end"]
        if not self.alone and (parts["view"] == "AT" or (ambiguous and not (sided or parts["side"]))):
            return False
        # LMO is a view of its own, not the left side of another.
        side = "" if word in ("LMO", "LM") else parts["side"][:1]
        view = _ALIASES.get(parts["view"], parts["view"])
        if view in _ABBREVIATED:
            self.modifiers.add(_ABBREVIATED[view])
        if view not in _NO_VIEW:
            self.views.add(view)
        for affixes in (parts["before"], parts["after"]):
            for affix in re.findall(r"MAGN?|SPOT|ID|RL|RM|RI|RS|NP|AC|IMF|TAN|M|S", affixes):
                self.modifiers.add(_ABBREVIATED[affix])
        self.sides.update({side} - {""})
        end = parts["end"]
        self.sides.update({_LOCAL_SIDES.get(end, end)} - {""})
        return True

    def _beside_view(self, word: str) -> bool:
        """Take in a short word that has a meaning only beside a view."""
        letters = self.source is TextSource.POSITION
        if word in _SHORT_SIDES:
            self.sides.add(_SHORT_SIDES[word])
        elif letters and self.views and word in _LOCAL_SIDES:
            self.sides.add(_LOCAL_SIDES[word])
        elif self.views and word in _ABBREVIATED and (letters or len(word) > 1):
            self.modifiers.add(_ABBREVIATED[word])
        elif self.views and word == _SUBTRACTED:
            self.kinds.add("subtraction")
        else:
            return False
        return True


def _combine(found: _Tokens, directions: set[str]) -> None:
    """Put parts together: medio-lateral and oblique, cranio-caudal and exaggerated, rolled and a direction."""
    views, oblique, exaggerated = found.views, "oblique" in found.views, "exaggerated" in found.views
    views -= {"oblique", "exaggerated"}
    if oblique:
        for upright, slanted in (("ML", "MLO"), ("LM", "LMO")):
            if upright in views:
                views.remove(upright)
                views.add(slanted)
        if not views:
            views.add("MLO")
    if "rolled" in found.modifiers:
        rolled = {f"rolled {direction}" for direction in directions}
        found.modifiers.update(rolled)
        found.modifiers.difference_update({"rolled"} if rolled else ())
    elif {"CC", "XCC"} & views and (exaggerated or directions):
        views -= {"CC", "XCC"}
        views |= {f"XCC{direction[0].upper()}" for direction in directions & {"lateral", "medial"}} or {"XCC"}
    if {"XCCL", "XCCM"} & views:
        views -= {"CC", "XCC"}
    if "XCC" in views:
        views.discard("CC")
    if any(modifier.startswith("rolled ") for modifier in found.modifiers):
        found.modifiers.discard("rolled")
