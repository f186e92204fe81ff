"""The report: the same bytes in whatever order answers came, ranked, bounded, and SARIF when asked for."""

import json
from urllib.parse import unquote

import msgspec
import pytest
from examples.review.finding import NOT_CHECKED, SEVERITIES, TOOLS, Finding, clean, rank
from examples.review.inspection import Inspection, inspection
from examples.review.job import Done, Figures
from examples.review.limits import FINDINGS_LISTED, INSPECTION_BYTES
from examples.review.report import Report, compose
from examples.review.sarif import SCHEMA
from examples.review.survey import Page
from examples.review.tally import Tally
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples.made import MadeRepository, Reviewer

MESSAGE_BYTES = 900 * 1024
PAGE = Page(repository="sample", commit="c" * 40, base=None, files=(), page=0, pages=1, notes=("A note.",))

paths = st.sampled_from(["a.py", "b/c.py", "z.py", "odd\n\u202e.py"])
findings = st.builds(
    Finding,
    path=paths,
    line=st.integers(1, 3),
    column=st.integers(0, 2),
    severity=st.sampled_from(SEVERITIES),
    tool=st.sampled_from(TOOLS),
    rule=st.sampled_from(["A1", "B2"]),
    text=st.sampled_from(["one", "two"]),
)
figures = st.builds(
    Figures,
    path=paths,
    parsed=st.just(True),
    lines=st.just(9),
    code=st.just(8),
    functions=st.just(2),
    complexity=st.just(3),
    suppressions=st.just(1),
)
done = st.builds(
    Done,
    findings=st.lists(findings, max_size=8).map(tuple),
    figures=st.lists(figures, max_size=3).map(tuple),
    unchecked=st.lists(paths, max_size=2).map(tuple),
)
inspections = st.lists(st.builds(inspection, st.sampled_from(TOOLS), done), max_size=8)


def _report(answers: list[Inspection], *, keep: int = FINDINGS_LISTED, sarif: bool = False) -> Report:
    tally = Tally(keep=keep)
    for answer in answers:
        tally.add(answer)
    return compose(PAGE, tally, files=4, sarif=sarif)


@given(st.data(), inspections, st.sampled_from([3, FINDINGS_LISTED]))
def test_the_order_of_the_answers_leaves_no_trace(data: st.DataObject, answers: list[Inspection], keep: int) -> None:
    shuffled = data.draw(st.permutations(answers))
    first, second = (_report(each, keep=keep, sarif=True) for each in (answers, shuffled))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


@given(inspections)
def test_findings_are_ranked_and_all_are_counted(answers: list[Inspection]) -> None:
    report = _report(answers)
    summary = report.summary
    assert list(report.findings) == sorted(report.findings, key=rank)
    assert summary.findings == summary.findings_listed == len(report.findings)
    assert summary.findings == summary.high + summary.medium + summary.low + summary.info
    assert summary.findings == sum(summary.by_tool.values())


@given(inspections)
def test_what_is_cut_is_the_end_of_the_ranking(answers: list[Inspection]) -> None:
    assert _report(answers, keep=3).findings == _report(answers).findings[:3]
    assert _report(answers, keep=3).summary.findings == _report(answers).summary.findings


def test_a_rank_is_severity_then_path_then_line_then_rule() -> None:
    order = [
        _finding(severity="high", path="z.py", line=9),
        _finding(severity="medium", path="a.py", line=2, rule="Z"),
        _finding(severity="medium", path="a.py", line=10, rule="A"),
        _finding(severity="medium", path="a.py", line=10, rule="B"),
        _finding(severity="medium", path="b.py", line=1),
        _finding(severity="low"),
        _finding(severity="info"),
    ]
    assert sorted([order[3], order[0], order[6], order[2], order[5], order[1], order[4]], key=rank) == order


def _finding(**changes: object) -> Finding:
    plain = Finding(path="a.py", line=1, severity="low", tool="ruff", rule="A", text="t")
    return msgspec.structs.replace(plain, **changes)


def _figures(path: str, *, parsed: bool = True) -> Figures:
    return Figures(path=path, parsed=parsed, lines=1, code=1, functions=0, complexity=0, suppressions=0)


def test_an_unchecked_file_is_a_finding_unless_it_is_no_python() -> None:
    report = _report(
        [
            inspection("bandit", Done(unchecked=("a.py", "b.py"))),
            inspection("metrics", Done(figures=(_figures("a.py"), _figures("b.py", parsed=False)))),
        ]
    )
    assert [(finding.path, finding.tool, finding.rule) for finding in report.findings] == [
        ("a.py", "bandit", NOT_CHECKED)
    ]
    assert (report.summary.medium, report.summary.by_tool["bandit"]) == (1, 1)


@pytest.mark.parametrize("sarif", [False, True])
def test_a_report_of_too_much_fits_into_a_message_and_gives_the_totals(sarif: bool) -> None:
    answers = [_flood(batch) for batch in range(30)]
    report = _report(answers, sarif=sarif)
    assert len(msgspec.json.encode(report)) < MESSAGE_BYTES
    assert report.summary.findings == 30 * 3000
    assert 0 < len(report.findings) == report.summary.findings_listed < report.summary.findings
    assert 0 < len(report.files) == report.summary.files_listed < 30 * 48
    assert f"of {report.summary.findings} findings are shown" in report.text


def _flood(batch: int) -> Inspection:
    paths = [f"{batch:02}/{file:02}/" + "\x01" * 480 for file in range(48)]
    found = [_finding(path=paths[at % 48], line=at + 1, text="\u20ac" * 300) for at in range(3000)]
    return inspection("metrics", Done(findings=tuple(found), figures=tuple(map(_figures, paths))))


def test_an_inspection_of_too_much_fits_into_a_message_and_counts_all() -> None:
    flood = _flood(0)
    assert len(msgspec.json.encode(flood)) <= INSPECTION_BYTES
    assert sum(count.findings for count in flood.counts) == 3000
    assert list(flood.findings) == sorted(flood.findings, key=rank)


@given(inspections)
@settings(max_examples=50)
def test_sarif_has_the_shape_of_the_standard(answers: list[Inspection]) -> None:
    report = _report(answers, sarif=True)
    assert report.sarif is not None
    log = json.loads(report.sarif)
    assert (log["$schema"], log["version"]) == (SCHEMA, "2.1.0")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    assert len(run["results"]) == len(report.findings)
    for result, finding in zip(run["results"], report.findings, strict=True):
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"] == finding.text
        place = result["locations"][0]["physicalLocation"]
        assert unquote(place["artifactLocation"]["uri"]) == finding.path
        assert place["artifactLocation"]["uri"].isprintable()
        assert place["region"]["startLine"] >= 1
        assert place["region"].get("startColumn", 1) >= 1


def test_sarif_is_only_there_when_asked_for() -> None:
    assert _report([]).sarif is None


@given(st.text())
def test_clean_text_is_one_printable_line_of_bounded_length(text: str) -> None:
    assert clean(text, most=50).isprintable()
    assert len(clean(text, most=50)) <= 50


def test_the_text_names_the_commit_the_totals_and_the_notes() -> None:
    report = _report([inspection("ruff", Done(findings=(_finding(path="a\x1b[31m.py"),)))])
    assert report.text.splitlines() == [
        "Review of sample at cccccccccccc",
        "4 Python files, 0 lines, 0 functions, 0 lines that silence an analyser",
        "1 findings: 0 high, 0 medium, 1 low, 0 info",
        "note: A note.",
        "",
        "a\\x1b[31m.py:1: low ruff/A: t",
    ]


async def test_two_reviews_of_one_commit_are_the_same_bytes_wherever_it_lies(
    made: MadeRepository, reviewer: Reviewer
) -> None:
    for number in range(60):
        made.write(f"m{number % 7}/f{number}.py", f"import os\nexec('{number}')\ndef f{number}(): return undefined\n")
    made.commit()
    copy = made.path.parent / "elsewhere" / "sample"
    made.git("clone", "--quiet", ".", str(copy))
    reports = [await reviewer.review(each, sarif=True) for each in (made.path, made.path, copy)]
    assert len({msgspec.json.encode(report) for report in reports}) == 1
    assert reports[0].summary.by_tool == {"bandit": 60, "gaps": 0, "metrics": 0, "ruff": 120}
