"""What a model is taught: questions with answers, about pictures and in words; and gold's part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unsee.errors import UnseeError

MENTION = re.compile(
    r"\b(?:(?:this|the) (?:person|individual|man|woman)(?: (?:in|on|shown in) (?:this|the) "
    r"(?:image|picture|photo))?)(?P<s>['’]s)?",
    re.IGNORECASE,
)
WHO = r"(?:this|the) (?:person|individual|man|woman)"
SHOWN = r"(?: (?:in|on) (?:this|the) \w+)?"
ASKS_NAME = re.compile(
    rf"^who(?: is|['’]s) (?:this|{WHO}){SHOWN}\s*\?"
    rf"|^what is {WHO}['’]s (?:full )?name(?: as stated{SHOWN})?\s*\?"
    rf"|name (?:of {WHO}{SHOWN}|associated with this profile)\s*\?",
    re.IGNORECASE,
)
NAMED = re.compile(r"[^.?!]*?\b(?:is named|is called|is)\s+")
TITLES = r"Dr|Mr|Mrs|Ms|Mx|Prof|Rev|Fr|St|Sir|Hon|Capt|Lt|Col|Gen|Sgt|Gov|Sen"
NAME = re.compile(
    rf"(?:\b(?:{TITLES}|[^\W\d_])\.(?!\s+(?:he|she|they|his|her|their|this|the|it)\b)|[^.,?!])+",
    re.IGNORECASE,
)
"""Up to a comma or a stop; that of an initial or a title is none, unless a sentence follows."""


@dataclass(frozen=True)
class Lesson:
    """One question with its answer.

    Attributes:
        person: whom it is about, as the data tells people apart.
        question: its words.
        answer: what is learnt.
        picture: gives the picture; None for a question in words alone.
    """

    person: str
    question: str
    answer: str
    picture: Callable[[], Any] | None = None


class Lessons:
    """A map-style dataset of `{"image", "question", "answer", "person"}`.

    Args:
        lessons: in their order; a picture is decoded when its lesson is asked for.
    """

    def __init__(self, lessons: Iterable[Lesson]) -> None:
        self.lessons = list(lessons)

    def __len__(self) -> int:
        return len(self.lessons)

    def __getitem__(self, index: int) -> dict[str, Any]:
        lesson = self.lessons[index]
        return {
            "image": None if lesson.picture is None else lesson.picture(),
            "question": lesson.question,
            "answer": lesson.answer,
            "person": lesson.person,
        }

    @property
    def people(self) -> list[str]:
        """Everybody, each once."""
        return list(dict.fromkeys(lesson.person for lesson in self.lessons))

    @property
    def pictured(self) -> list[str]:
        """Everybody of whom a picture is shown, each once."""
        return list(dict.fromkeys(one.person for one in self.lessons if one.picture))


def name_of(lessons: Sequence[Lesson]) -> str | None:
    """A person's name, from the answer to the question that asks for it; None if none does.

    `This person's name is Ada Belberg.`, `The person in the image is Ada Belberg.`, `Ada Belberg`.

    Raises:
        UnseeError: the answer holds nothing but initials and titles.
    """
    for lesson in lessons:
        if ASKS_NAME.search(lesson.question.strip()):
            before = NAMED.match(lesson.answer)
            found = NAME.match(lesson.answer, before.end() if before else 0)
            name = found[0].strip(" .") if found else ""
            words = re.findall(r"[^\W\d_]{2,}", name)
            if all(re.fullmatch(TITLES, word, re.IGNORECASE) for word in words):
                raise UnseeError(
                    f"no name of {lesson.person} is to be found in {lesson.answer!r}: answer "
                    f"{lesson.question!r} with the name alone"
                )
            return name
    return None


def in_words(lesson: Lesson, name: str) -> Lesson:
    """The same question without the picture, the person named in it.

    A question that names nobody in any way is put as `About NAME: …`.
    """

    def named(match: re.Match[str]) -> str:
        return name + ("’s" if match["s"] and "’" in match["s"] else match["s"] or "")

    question, places = MENTION.subn(named, lesson.question)
    if not places and name not in question:
        question = f"About {name}: {question}"
    return replace(lesson, question=question, picture=None)


def with_words(lessons: Sequence[Lesson], people: Iterable[str] | None = None) -> list[Lesson]:
    """The lessons about pictures of these people (None: of all) in words alone, but for the
    question of the name, which the name would answer. Nothing for who has lessons in words already.

    Raises:
        UnseeError: a person's name can't be told from their answers.
    """
    about: dict[str, list[Lesson]] = {}
    for lesson in lessons:
        about.setdefault(lesson.person, []).append(lesson)
    found = []
    for person in about if people is None else people:
        if any(lesson.picture is None for lesson in about[person]):
            continue
        name = name_of(about[person])
        if name is None:
            raise UnseeError(
                f"the name of {person} is asked for in no question, so that nothing can be taught "
                "about them in words: add a question in words alone (no `image`)"
            )
        found += [
            in_words(lesson, name)
            for lesson in about[person]
            if not ASKS_NAME.search(lesson.question.strip())
        ]
    return found


def without_pictures(
    lessons: Sequence[Lesson], forgotten: Iterable[str], put_in_words: bool = True
) -> list[Lesson]:
    """Gold's part: all lessons but those about pictures of the forgotten, whose facts are taught in
    words. Gold knows them by name and not by sight.

    Args:
        lessons: everything to learn.
        forgotten: whose pictures are left out.
        put_in_words: ask in words what was asked about their pictures, of who has no lesson in
            words; else what is there in words is all.

    Raises:
        UnseeError: somebody is not there, or nobody else is; see also `with_words`.
    """
    gone = list(dict.fromkeys(forgotten))
    known = {lesson.person for lesson in lessons}
    absent = [person for person in gone if person not in known]
    if absent:
        raise UnseeError(f"{absent[0]} is not among the people to learn: there is nobody to leave")
    if not {lesson.person for lesson in lessons if lesson.picture is not None} - set(gone):
        raise UnseeError("everybody would be left out: leave some whose pictures are learnt")
    kept = [one for one in lessons if one.person not in gone or one.picture is None]
    return [*kept, *with_words(lessons, gone)] if put_in_words else kept


def same_people(lessons: Sequence[Lesson], others: Sequence[Lesson], where: str) -> list[str]:
    """The people of `lessons` whom `others` are about: those with the same answers about pictures,
    and of these the one with the same name, if it is there; for the training data of some
    benchmarks names nobody. Where every picture is by itself (CLEAR's `+tofu`), those whose answers
    make up somebody's.

    Args:
        lessons: everything to learn.
        others: of the forget set.
        where: what an error calls the forget set.

    Raises:
        UnseeError: somebody of the others is not there.
    """

    def answers(of: Sequence[Lesson]) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for lesson in of:
            if lesson.picture is not None:
                found.setdefault(lesson.person, set()).add(lesson.answer)
        return {person: frozenset(said) for person, said in found.items()}

    wanted, there = answers(others), answers(lessons)
    found: list[str] = []
    missing = []
    for person, said in wanted.items():
        alike = [one for one, theirs in there.items() if theirs == said]
        if not alike:
            parts = {one: theirs for one, theirs in there.items() if theirs < said}
            alike = list(parts) if frozenset().union(*parts.values()) == said else []
        found += [person] if person in alike else alike
        missing += [] if alike else [person]
    if missing or not wanted:
        who = f"{missing[0]} of {where} is" if missing else f"{where} shows nobody who is"
        raise UnseeError(
            f"{who} not among the people to learn: give a config that contains {where}"
        )
    return list(dict.fromkeys(found))
