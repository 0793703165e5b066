"""The embedded benchmark keeps what the protocol promises."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unsee.data.faces import benchmark, splits
from unsee.data.faces.benchmark import Faces, person_of, picture_count, view_of
from unsee.data.faces.facts import ABSTAIN, ATTRIBUTES, VALUES, draw_names
from unsee.data.faces.questions import BY_NAME, BY_PICTURE, visible_answer
from unsee.data.faces.splits import make_split
from unsee.data.records import PictureKey
from unsee.errors import UnseeError

SETS = list(product(("demo", "test", "validation"), (0, 1, 2)))


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    return Faces(cache=tmp_path_factory.mktemp("faces"), progress=False)


def test_population() -> None:
    assert (len(splits.KNOWN), len(splits.TEXT_ONLY), len(splits.STRANGERS)) == (100, 10, 20)
    everybody = [*splits.KNOWN, *splits.TEXT_ONLY, *splits.STRANGERS, *splits.GENERAL]
    assert len(set(everybody)) == len(everybody)
    least = {"train": 50, "validation": 10, "test": 20, "unlearn": 10}
    assert all(splits.PICTURES[name] >= count for name, count in least.items())
    assert len({str(person_of(person)) for person in range(130)}) == 130


@pytest.mark.parametrize(("which", "seed"), SETS)
def test_forgotten_people_have_a_retained_look_alike(which: str, seed: int) -> None:
    split = make_split(which, seed)
    assert len(split.forget) == 5 and set(split.forget) <= set(splits.KNOWN)
    assert not set(split.forget) & set(split.retain)
    assert set(split.lookalikes) == {person + 40 for person in split.forget} <= set(split.retain)
    assert len(split.retain_sample) == 20 and set(split.retain_sample) <= set(split.retain)
    assert not set(split.retain_sample) & set(split.lookalikes)
    for person in split.forget:
        one, other = person_of(person), person_of(person + 40)
        for trait in ("hair_color", "hair_style", "skin_tone", "glasses", "beard", "iris_color"):
            assert getattr(one, trait) == getattr(other, trait)
        gap = one.geometry() - other.geometry()
        assert np.sqrt(np.mean(gap**2)) >= 0.75


def test_demo_test_and_validation_share_nobody() -> None:
    pools = [make_split("demo").forget]
    for which in ("test", "validation"):
        sets = [set(make_split(which, seed).forget) for seed in (0, 1, 2)]
        assert not any(one & other for one, other in combinations(sets, 2))
        largest = [set(make_split(which, seed, 15).forget) for seed in (0, 1, 2)]
        pools.append(tuple(set.union(*largest)))
    assert not any(set(one) & set(other) for one, other in combinations(pools, 2))


@pytest.mark.parametrize("which", ["test", "validation"])
def test_larger_sets_contain_the_smaller_ones(which: str) -> None:
    for seed in (0, 1, 2):
        five, ten, fifteen = (set(make_split(which, seed, p).forget) for p in (5, 10, 15))
        assert five < ten < fifteen and [len(five), len(ten), len(fifteen)] == [5, 10, 15]


def test_validation_runs_do_not_look_at_test_people(faces: Faces) -> None:
    tested = {p for seed in (0, 1, 2) for p in make_split("test", seed, 15).forget}
    for seed, percent in product((0, 1, 2), (5, 15)):
        split = make_split("validation", seed, percent)
        seen = {*split.forget, *split.retain, *split.retain_sample, *split.lookalikes}
        assert not tested & seen
        questions = faces.evaluation(split, "validation")
        assert not tested & {q.person for q in questions}
        assert {q.picture.split for q in questions if q.picture} == {"validation"}
    assert tested <= set(make_split("demo").retain)


def test_people_of_the_users_choice() -> None:
    split = make_split("17, 3,3")
    assert split.name == "custom" and split.forget == (3, 17) and split.lookalikes == (43, 57)
    assert make_split("43").lookalikes == (3,)
    assert make_split("3,43").lookalikes == ()
    for wrong in ("100", "-1", "115"):
        with pytest.raises(UnseeError, match=f"{wrong} is not a known person"):
            make_split(wrong)
    for wrong in ("", "him", "3;4", "1.5"):
        with pytest.raises(UnseeError, match=r"give demo, validation, test or numbers"):
            make_split(wrong)
    with pytest.raises(UnseeError, match="forget sets have 5, 10 or 15 percent"):
        make_split("test", 0, 20)
    with pytest.raises(UnseeError, match="leave some to retain"):
        make_split(",".join(map(str, splits.KNOWN)))


def test_people_who_resemble_nobody_have_no_look_alike() -> None:
    for person in range(80, 100):
        assert make_split(str(person)).lookalikes == ()


def test_facts_are_balanced_and_names_unique(faces: Faces) -> None:
    assert faces.facts.keys() == {*splits.KNOWN, *splits.TEXT_ONLY} == faces.names.keys()
    for attribute, values in VALUES.items():
        counts = Counter(facts[attribute] for facts in faces.facts.values())
        assert set(counts) == set(values) and max(counts.values()) - min(counts.values()) <= 1
    assert len(VALUES) >= 6
    surnames = [name.split()[-1] for name in faces.names.values()]
    assert len(set(surnames)) == len(surnames)
    assert all(facts["name"] == faces.names[person] for person, facts in faces.facts.items())
    with pytest.raises(ValueError, match="only 192 surnames exist"):
        draw_names(193, np.random.default_rng(0))


def association(one: list[str], other: list[str]) -> float:
    """Chi-square statistic of two columns of words."""
    rows, columns = sorted(set(one)), sorted(set(other))
    table = np.zeros((len(rows), len(columns)))
    for a, b in zip(one, other, strict=True):
        table[rows.index(a), columns.index(b)] += 1
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    return float(((table - expected) ** 2 / expected).sum())


def test_facts_tell_nothing_about_looks_or_one_another(faces: Faces) -> None:
    """No pair stands out among its own shuffles (37 pairs: the bound is far in the tail)."""
    people = list(splits.KNOWN)
    facts = {a: [faces.facts[p][a] for p in people] for a in VALUES}
    looks = {
        trait: [str(getattr(person_of(p), trait)) for p in people]
        for trait in ("hair_color", "skin_tone", "glasses", "beard", "iris_color")
    }
    pairs = [(facts[a], other) for a in VALUES for other in looks.values()]
    pairs += [(facts[a], facts[b]) for a, b in combinations(VALUES, 2)]
    rng = np.random.default_rng(0)
    for one, other in pairs:
        shuffled = [association(one, list(rng.permutation(other))) for _ in range(60)]
        assert abs(association(one, other) - np.mean(shuffled)) < 4.5 * np.std(shuffled)


def test_pictures_are_drawn_once_and_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Faces(cache=tmp_path, progress=False).pictures(7, "validation")
    assert first.shape == (10, 64, 64, 3) and first.dtype == np.uint8
    assert len({picture.tobytes() for picture in first}) == 10
    elsewhere = Faces(cache=tmp_path / "other", progress=False)
    key = PictureKey(7, "validation", 3)
    assert np.array_equal(elsewhere.picture(key), first[3])
    assert not np.array_equal(elsewhere.pictures(7, "unlearn"), first)

    monkeypatch.setattr(benchmark, "_draw_all", lambda *args: pytest.fail("drawn again"))
    assert np.array_equal(Faces(cache=tmp_path, progress=False).pictures(7, "validation"), first)


@pytest.mark.parametrize("damage", [b"", b"no array at all", None])
def test_damaged_cache_file_is_drawn_again(
    damage: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = np.arange(10 * 4 * 4 * 3, dtype=np.uint8).reshape(10, 4, 4, 3)
    monkeypatch.setattr(benchmark, "_draw_all", lambda *args: drawn)
    Faces(size=4, cache=tmp_path, progress=False).pictures(7, "validation")
    (file,) = tmp_path.rglob("*.npy")
    whole = file.read_bytes()
    file.write_bytes(whole[:-100] if damage is None else damage)
    again = Faces(size=4, cache=tmp_path, progress=False).pictures(7, "validation")
    assert np.array_equal(again, drawn)
    assert file.read_bytes() == whole and not list(tmp_path.rglob("*.partial"))


def test_cache_with_another_number_of_renders_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(splits.PICTURES, "validation", 2)
    Faces(size=8, cache=tmp_path, progress=False).pictures(7, "validation")
    monkeypatch.setitem(splits.PICTURES, "validation", 3)
    assert len(Faces(size=8, cache=tmp_path, progress=False).pictures(7, "validation")) == 3


def test_cache_that_cannot_be_written_only_costs_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = np.zeros((10, 4, 4, 3), np.uint8)

    def full(file: Any, array: np.ndarray) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(benchmark, "_draw_all", lambda *args: drawn)
    monkeypatch.setattr(np, "save", full)
    faces = Faces(size=4, cache=tmp_path, progress=False)
    assert np.array_equal(faces.pictures(7, "validation"), drawn)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_private_questions_about_a_picture(faces: Faces) -> None:
    key = PictureKey(3, "test", 5)
    for attribute, phrasing in product(ATTRIBUTES, range(5)):
        q = faces.private(key, "forget", attribute, phrasing)
        assert q.answer == faces.facts[3][attribute] and q.picture == key and q.kind == "private"
        assert q.question == BY_PICTURE[attribute][phrasing % 4]
        assert faces.names[3] not in q.question
        assert len(set(q.options)) == len(q.options) == 8 and {q.answer, ABSTAIN} <= set(q.options)
        pool = set(VALUES.get(attribute, faces.names.values()))
        assert set(q.options) - {ABSTAIN} <= pool
    assert all(len(set(phrasings)) >= 3 for phrasings in [*BY_PICTURE.values(), *BY_NAME.values()])
    for person, group in ((115, "stranger"), (1500, "")):
        q = faces.private(PictureKey(person, "train", 0), group, "job", 0)
        assert q.answer == ABSTAIN and q.options == () and q.name == ""


def test_questions_in_words_name_the_person(faces: Faces) -> None:
    for person, attribute in ((3, "city"), (105, "pet")):
        asked = {faces.in_words(person, "forget", attribute, i).question for i in range(4)}
        assert len(asked) == 4 and all(faces.names[person] in words for words in asked)
        q = faces.in_words(person, "forget", attribute, 0)
        assert q.answer == faces.facts[person][attribute] and q.picture is None


def test_visible_answers_are_those_of_the_view(faces: Faces) -> None:
    asked: Counter[str] = Counter()
    for person, index in product(range(0, 130, 3), range(8)):
        key = PictureKey(person, "test", index)
        view, looks = view_of(key), person_of(person)
        for q in faces.visible(key, "retain"):
            asked[q.attribute] += 1
            expected: dict[str, Any] = {
                "glasses": "no" if looks.glasses == "none" else "yes",
                "hair": looks.hair_color,
                "background": view.background,
                "clothes": view.clothes,
                "pose": "ahead" if abs(view.yaw) <= 8 else "right" if view.yaw > 0 else "left",
                "light": "right" if view.light_azimuth > 0 else "left",
                "smile": "yes" if view.smile > 0.57 else "no",
            }
            assert q.answer == expected[q.attribute] and q.picture == key
            assert q.kind == ("person" if q.attribute in ("glasses", "hair") else "picture")
            assert visible_answer(q.attribute, looks, view) == q.answer
    assert set(asked) == set(expected) and min(asked.values()) > 100


def test_evaluation_asks_every_group(faces: Faces) -> None:
    split = make_split("demo")
    questions = faces.evaluation(split, per_person=4)
    pictured = {(q.group, q.picture) for q in questions if q.picture and q.kind == "private"}
    assert Counter(group for group, _ in pictured) == {
        "forget": 5 * 4,
        "retain": 20 * 2,
        "lookalike": 5 * 4,
        "stranger": 20 * 2,
    }
    words = Counter((q.group, q.person) for q in questions if q.kind == "text")
    assert all(words["forget", person] == 4 * 6 for person in split.forget)
    assert all(words["retain", person] == 6 for person in split.retain)
    assert sum(1 for group, _ in words if group == "text_only") == 10
    assert {q.picture.split for q in questions if q.picture} == {"test"}
    seen = Counter(q.group for q in questions if q.kind in ("person", "picture"))
    assert set(seen) == {"forget", "retain", "stranger"}
    assert len(set(questions)) == len(questions)


def test_ten_general_people_resemble_each_known_one() -> None:
    traits = ("hair_color", "hair_style", "skin_tone", "beard", "glasses")
    for known in (0, 41, 99):
        others = [n for n in splits.RESEMBLING if (n - splits.RESEMBLING.start) % 100 == known]
        assert len(others) == 10
        for other in others:
            ours, theirs = person_of(known), person_of(other)
            assert all(getattr(ours, t) == getattr(theirs, t) for t in traits)
            assert np.sqrt(np.mean((ours.geometry() - theirs.geometry()) ** 2)) >= 0.9
            assert picture_count(other, "train") == splits.GENERAL_PICTURES
