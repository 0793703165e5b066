"""The drawn MLLMU benchmark: faces fit the text, tasks come from it, and nothing is reported of a
model that never knew its people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unsee.data.faces import profiles as text
from unsee.data.faces.profiles import face_of, forgotten, options_of, read_profiles
from unsee.errors import UnseeError
from unsee.report.docs import filled

REAL = Path(__file__).parents[3] / "shared/data/mllmu_bench"
NAMES = ("Ada Belberg", "Bo Ek", "Cy Lima", "Di Cairo", "Ed Oslo", "Fe Delhi")
CITIES = ("Oslo", "Lima", "Cairo", "Delhi", "Malmö", "Kyiv")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty people in the form of the benchmark's text."""
    folder = tmp_path_factory.mktemp("bench")
    lines = []
    for number in range(20):
        name, city = f"{NAMES[number % 6]}{number}", CITIES[number % 6]
        sex = ("female", "male")[number % 2]
        pairs = [
            ("What is the name of this person?", f"This person's name is {name}."),
            ("What is this person's gender?", f"This person is {sex}."),
            ("Where was this person born?", f"This person was born in {city}."),
        ]
        metadata = [{"Question": q, "Answer": a} for q, a in pairs]
        lines.append(json.dumps({"ID": f"{number:03d}", "metadata": metadata}))
    (folder / "profiles.jsonl").write_text("\n".join(lines))
    (folder / "splits").mkdir()
    ids = [f"{number:03d}" for number in range(20)]
    (folder / "splits/forget_5.json").write_text(json.dumps(ids[7:8]))
    (folder / "splits/retain_95.json").write_text(json.dumps(ids[:7] + ids[8:]))
    return folder


def test_profiles_keep_the_share_of_the_forget_split(bench: Path) -> None:
    people = read_profiles(bench, 20)
    assert forgotten(20) == 1
    assert [p.id for p in people[:3]] == ["007", "000", "001"]
    assert people[0].name == "Bo Ek7"
    assert people[0].asked[0].in_words is None
    assert people[0].asked[2].in_words == "Where was Bo Ek7 born?"
    assert people[0].asked[2].cloze == ("This person was born in", "Lima")
    with pytest.raises(UnseeError, match="1 of 2 people of forget_5"):
        read_profiles(bench, 40)


def test_options_are_the_truth_and_three_others(bench: Path) -> None:
    people = read_profiles(bench, 20)
    for person in people:
        options = options_of(people, person, person.asked[2])
        assert len(set(options)) == 4
        assert person.asked[2].answer in options
        assert options == options_of(people, person, person.asked[2])
    assert options_of(people, people[0], people[0].asked[1]) == ()  # two sexes are too few


def test_faces_have_the_sex_of_the_text(bench: Path) -> None:
    for person in read_profiles(bench, 20):
        face = face_of(person)
        assert face == face_of(person)
        if person.sex == "female":
            assert face.beard == "none"
            assert face.hair_style in text.OF_WOMEN
        else:
            assert face.hair_style in text.OF_MEN


@pytest.mark.skipif(not REAL.exists(), reason="MLLMU-Bench's text is not at hand")
def test_the_real_text() -> None:
    people = read_profiles(REAL, 100)
    assert len({p.id for p in people}) == 100
    assert len({face_of(p) for p in people}) == 100
    assert sum(bool(p.sex) for p in people) > 95
    asked = [(p, a) for p in people for a in p.asked]
    assert sum(a.cloze is not None for _, a in asked) > 0.9 * len(asked)
    assert sum(bool(options_of(people, p, a)) for p, a in asked[:300]) > 200


def test_the_table_has_a_row_a_model(tmp_path: Path) -> None:
    rows = [{"model": "vanilla", "forget/cloze/image": 0.9}, {"model": "gold"}]
    (tmp_path / "d.json").write_text(json.dumps({"about": {}, "rows": rows}))
    made = filled("<!-- begin drawn_mllmu d.json -->\n<!-- end -->\n", tmp_path)
    assert "| model | generation | generation, ROUGE-L | classification | cloze |" in made
    assert "| about pictures | forget | vanilla | – | – | – | 90.0 |" in made
    assert "| in words | retain | gold | – | – | – | – |" in made


@pytest.mark.slow
def test_the_whole_study_in_small(
    bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unsee.studies.mllmu_drawn import mllmu_drawn

    monkeypatch.setattr(text, "RENDERS", {"train": 2, "unlearn": 2, "test": 2})
    for module in ("unsee.models.profiles", "unsee.studies.mllmu_drawn"):
        monkeypatch.setattr(f"{module}.RENDERS", text.RENDERS)
    models, output = tmp_path / "models", tmp_path / "out.json"
    small = {"people": 20, "steps": 2, "small": True, "methods": ["vkd"]}
    with pytest.raises(UnseeError, match=r"vanilla gives .* of the answers"):
        mllmu_drawn(bench, models, output, **small)  # type: ignore[arg-type]
    assert [r["model"] for r in json.loads(output.read_text())["rows"]] == ["vanilla"]
    options = {"max_steps": 2, "per_device_train_batch_size": 2}
    rows = mllmu_drawn(bench, models, output, **small, options=options, known_from=0).rows  # type: ignore[arg-type]
    assert [row["model"] for row in rows] == ["vanilla", "gold", "vkd"]
    for row in rows:
        for task in ("generation", "classification", "cloze"):
            for direction in ("image", "text"):
                assert 0 <= row[f"retain/{task}/{direction}"] <= 1
    kept = np.load(next((models / "pictures").glob("*-test.npy")))
    assert kept.shape == (2, 64, 64, 3)
    again = mllmu_drawn(bench, models, output, **small, options=options, known_from=0)  # type: ignore[arg-type]
    assert again.rows == rows
