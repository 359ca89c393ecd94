"""Sentences in many languages: the messages of Django, as its translators wrote them."""

from __future__ import annotations

import gettext
import random
from dataclasses import dataclass
from pathlib import Path

import django

LANGUAGES = (
    "af", "ar", "az", "be", "bg", "br", "bs", "ca", "cs", "cy", "da", "de", "el", "eo", "es", "et", "eu", "fa", "fi",
    "fr", "ga", "gl", "hi", "hr", "hu", "hy", "id", "is", "it", "ka", "kn", "ky", "lb", "lt", "lv", "mk", "ml", "mn",
    "mr", "ms", "nl", "nn", "pl", "pt", "ro", "ru", "sk", "sl", "sq", "sr", "sv", "sw", "tr", "ug", "uk", "ur", "vi",
)  # fmt: skip
"""Those that the model of either version knows and Django is translated to; the names are those of ISO 639-1."""

MIN_LENGTH = 30
EACH = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A sentence.

    Attributes:
        id: Language and the number of its English original.
        original: The English message, the same for its translations.
        language: Of the translation.
        text: The translation.
    """

    id: str
    original: str
    language: str
    text: str


def messages(language: str) -> dict[str, str]:
    """Translations by their English originals, less those with placeholders or of several lines."""
    place = Path(django.__file__).parent / "conf" / "locale" / language / "LC_MESSAGES" / "django.mo"
    with place.open("rb") as file:
        catalog = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return {
        original: text
        for original, text in catalog.items()
        if isinstance(original, str)
        and len(text) >= MIN_LENGTH
        and text != original
        and not any(mark in text for mark in ("%", "{", "\n", "<"))
    }


def draw_sentences(*, seed: int) -> list[Sentence]:
    """Draw the same number of sentences of each language, fewer where a translation is short."""
    drawn = []
    for language in LANGUAGES:
        found = sorted(messages(language).items())
        for original, text in random.Random(f"{seed} {language}").sample(found, min(EACH, len(found))):
            drawn.append(Sentence(id=f"{language}: {original[:60]}", original=original, language=language, text=text))
    return drawn
