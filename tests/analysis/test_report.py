"""The report: true to the numbers, whole in one file, safe, and the same each time."""

import re
import time

import pytest
import synthetic
from document import Tree

from jaxsoft import errors
from jaxsoft.analysis import questions, report
from jaxsoft.analysis.findings import findings
from jaxsoft.analysis.statistics import groups
from jaxsoft.analysis.tables import budget_table, law_table


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run with spaces é")
    members = synthetic.rows()
    assert len(members) == 420
    synthetic.write_run(folder, members, experts=2)
    start = time.process_time()
    target = report.write_report([folder])
    assert time.process_time() - start < 12
    assert target == folder / "report.html"
    return folder, members


def test_tables_in_html_and_markdown_are_those_of_the_findings(run):
    folder, members = run
    shown = Tree((folder / "report.html").read_text(encoding="utf-8")).text
    markdown = (folder / "summary.md").read_text(encoding="utf-8")
    (group,) = groups.groups(groups.tidy(members))
    found = findings(group)
    for line in (*budget_table(found).rows, *law_table(found.laws).rows):
        for cell in line:
            assert cell.replace("`", "") in shown
        assert "| " + " | ".join(line) + " |" in markdown


def test_one_file_that_fetches_nothing_and_runs_nothing(run):
    folder, _ = run
    text = (folder / "report.html").read_text(encoding="utf-8")
    tags = Tree(text).tags
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in tags}
    assert not re.search(r"https?:|url\(|@import|javascript:| on\w+=", text)
    images = [attrs for tag, attrs in tags if tag == "img"]
    assert len(images) == 6
    assert all(a["src"].startswith("data:image/png;base64,") and len(a["alt"]) > 30 for a in images)
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in tags
    assert "prefers-color-scheme: dark" in text
    tables = [i for i, (tag, _) in enumerate(tags) if tag == "table"]
    assert all(tags[i - 1][1].get("class") == "scroll" for i in tables)


def test_sections_answer_in_reading_order(run):
    folder, _ = run
    headings = re.findall("^##? (.*)", (folder / "summary.md").read_text(encoding="utf-8"), re.MULTILINE)
    starts = [
        "Soft labels beat hard labels at",
        "Each budget in numbers",
        "Hard labels go from",
        "More images want a later teacher: epoch 5 at 1 image per class",
        "Above a floor, error falls ",
        "Unseen budgets are missed by",
        "The experts reach 97.5 to 98.5 % on validation; label entropy goes from 2.30 to 0.01 nats",
        "What the teacher says of single images at epoch 0 and at epoch 150",
        "How these numbers were made",
    ]
    assert_short(headings)
    assert len(headings) == len(starts)
    assert all(heading.startswith(start) for heading, start in zip(headings, starts))


def test_provenance_is_there(run):
    folder, members = run
    shown = Tree((folder / "report.html").read_text(encoding="utf-8")).text
    for needed in (
        "5f" * 32, "sealed", "420 finished, 0 failed", "a1b2c3d", "0.10.2", "teacher(accuracy=0.9)", "student.optimizer",
        "10, each with its own images, initialisation and order", "students_per_second",
    ):  # fmt: skip
        assert needed in shown
    pictures = sorted(path.name for path in (folder / "plots").iterdir())
    assert pictures == ["accuracy.png", "difference.png", "frontier.png", "labels.png", "prediction.png", "teacher.png"]


def small(folder, **changes):
    synthetic.write_run(folder, synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(5, 20), **changes))
    return folder


def test_equal_results_give_equal_bytes(tmp_path):
    first, second = (report.write_report([small(tmp_path / name / "run")]).parent for name in "ab")
    written = ["report.html", "summary.md", *(f"plots/{path.name}" for path in (first / "plots").iterdir())]
    assert len(written) == 2 + 5
    for name in written:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


FORMATS = ("svg", "pdf", "csv", "latex")


def test_further_formats_lie_beside_the_page_that_links_to_them_and_go_with_it(tmp_path, no_drawing, monkeypatch):
    monkeypatch.setattr(report.drawing, "drawn", lambda chart, form: f"{chart.name} as {form}".encode())
    folder = report.write_report([small(tmp_path / "run")], formats=FORMATS).parent
    html, markdown = ((folder / name).read_text(encoding="utf-8") for name in ("report.html", "summary.md"))
    linked = {attrs["href"] for tag, attrs in Tree(html).tags if tag == "a" and not attrs["href"].startswith("#")}
    there = {str(path.relative_to(folder)) for name in ("plots", "tables") for path in (folder / name).iterdir()}
    assert linked == {name for name in there if not name.endswith(".png")} and all(
        f"]({n})" in markdown for n in linked
    )
    assert {"plots/accuracy.svg", "plots/accuracy.pdf", "tables/budgets.csv", "tables/budgets.tex"} <= linked
    assert (folder / "plots" / "accuracy.svg").read_text() == "accuracy as svg"
    assert (folder / "tables" / "budgets.csv").read_text().startswith('IPC,"hard labels, %","hard labels low, %"')
    report.write_report([folder])
    assert {path.suffix for path in (folder / "plots").iterdir()} == {".png"}
    assert list((folder / "tables").iterdir()) == []


def test_a_format_that_there_is_not_is_named_and_nothing_written(tmp_path):
    with pytest.raises(errors.ConfigError, match="--formats expects some of svg, pdf, csv, latex, got 'eps'"):
        report.write_report([small(tmp_path / "run")], formats=["svg", "eps"])
    assert not (tmp_path / "run" / "report.html").exists()


def test_the_contents_lead_to_every_section_with_a_title(run):
    folder, _ = run
    tags = Tree((folder / "report.html").read_text(encoding="utf-8")).tags
    places = [attrs["id"] for tag, attrs in tags if tag == "section" and "id" in attrs]
    assert [attrs["href"] for tag, attrs in tags if tag == "a"] == [f"#{place}" for place in places]
    assert len(places) == len(set(places)) == sum(tag == "h2" for tag, _ in tags) > 3


def test_what_is_absent_is_left_out_and_said(tmp_path, no_drawing):
    folder = small(tmp_path / "run")
    for name in ("teachers.json", "examples.npz", "plan.json", "timing.json", "env.json", "config.json"):
        (folder / name).unlink()
    shown = Tree(report.write_report([folder]).read_text(encoding="utf-8")).text
    assert "Left out, because the run folder does not hold it: the teacher's course (teachers.json), images" in shown
    assert "The teacher reaches" not in shown


def test_paper_protocol_few_seeds_and_failures_are_in_plain_sight(tmp_path, no_drawing):
    folder = small(tmp_path / "run", protocol="paper")
    members = synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(5, 20), protocol="paper")
    members[4].update(status="failed", test_accuracy=None, val_accuracy=None, first_bad_step=77)
    synthetic.write_csv(folder / "results.csv", members)
    tree = Tree(report.write_report([folder]).read_text(encoding="utf-8"))
    assert sum(attrs.get("class") == "warning" for _, attrs in tree.tags) == 2
    assert "Paper protocol: the test split was used to choose" in tree.text
    assert (
        "n = 3: means have t intervals; with fewer than 5 seeds laws, trends and exchange rates have none" in tree.text
    )
    assert "1 of 18 members failed and count as guessing" in tree.text
    assert members[4]["member"] in tree.text and "77" in tree.text


def test_an_unfinished_run_says_so(tmp_path, no_drawing):
    folder = small(tmp_path / "run")
    rows = synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(5, 20))
    synthetic.write_csv(folder / "results.csv", rows[:10])
    text = (report.write_report([folder]).parent / "summary.md").read_text(encoding="utf-8")
    assert "10 of 18 planned members are in; the run is not finished." in text


def test_rows_of_code_that_was_edited_since_are_told(tmp_path, no_drawing):
    """A run that was begun anew after an edit, and stopped: the table is still that of the old code."""
    folder = small(tmp_path / "run")
    rows = synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(5, 20))
    synthetic.write_csv(folder / "results.csv", [{**row, "member": f"{row['member']}x"} for row in rows])
    text = (report.write_report([folder]).parent / "summary.md").read_text(encoding="utf-8")
    assert "18 of 18 members are of code or settings that were edited since" in text


@pytest.mark.parametrize("seeds, epochs, hard, failed, title", [
    (1, (5,), True, False, "Soft labels and hard labels: too few seeds to tell, "),
    (3, (), True, False, "Hard labels reach "),
    (3, (5,), False, False, "Soft labels reach "),
    (2, (5,), True, True, "No member has finished"),
])  # fmt: skip
def test_partial_sweeps_have_a_report(tmp_path, no_drawing, seeds, epochs, hard, failed, title):
    members = synthetic.rows(seeds=seeds, ipcs=(1, 5), epochs=epochs, hard=hard)
    if failed:
        for row in members:
            row.update(status="failed", test_accuracy=None, val_accuracy=None)
    synthetic.write_csv(tmp_path / "results.csv", members)
    text = (report.write_report([tmp_path]).parent / "summary.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {title}")


def test_every_string_is_escaped(tmp_path, no_drawing):
    evil = '<script>alert(1)</script><img src=x onerror="a">`<b>|'
    folder = small(tmp_path / "run", dataset=evil, model=evil)
    text = report.write_report([folder]).read_text(encoding="utf-8")
    assert "script" not in {tag for tag, _ in Tree(text).tags}
    assert "b" in {tag for tag, _ in Tree(text).tags} and "<b>|" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_two_protocols_side_by_side_show_the_optimism_gap(tmp_path, no_drawing):
    sealed, paper = small(tmp_path / "sealed"), small(tmp_path / "paper", protocol="paper")
    with pytest.raises(errors.ConfigError, match="2 run folders needs --out"):
        report.write_report([sealed, paper])
    with pytest.raises(errors.ConfigError, match="the runs differ in protocol"):
        report.write_report([sealed, paper], tmp_path / "both")
    text = (report.write_report([sealed, paper], tmp_path / "both", mix=True).parent / "summary.md").read_text("utf-8")
    assert "## Protocol `sealed`: " in text and "## Protocol `paper`: " in text
    assert text.startswith("# Selecting on test: no clear gain, 0.0 points [0.0, 0.0] at IPC 1 with hard labels")
    assert (tmp_path / "both" / "plots" / "accuracy-2.png").exists()


def headings(folders, out):
    """The headings of a report and its text; each holds one finding that fits a line, whatever the name of its group."""
    text = (report.write_report(folders, out).parent / "summary.md").read_text(encoding="utf-8")
    found = re.findall("^##? (.*)", text, re.MULTILINE)
    assert_short(found)
    return found, text


def assert_short(titles):
    findings = [re.sub(r"^[A-Z][a-z ]* `[^`]*`(, [a-z ]+ `[^`]*`)*: ", "", title) for title in titles]
    assert [finding for finding in findings if len(finding) > 100] == []


def chosen_images(folder, ways, seeds=3):
    members = [r for way in ways for r in synthetic.rows(seeds=seeds, ipcs=(1,), epochs=(5,), select=way)]
    synthetic.write_run(folder, members)
    return folder


def test_the_title_answers_the_first_question_and_the_groups_say_theirs(tmp_path, no_drawing):
    folder = chosen_images(tmp_path / "run", ["random", "decile(0)", "decile(9)"])
    found, text = headings([folder], None)
    assert found[0].startswith("Choice of images, soft against hard labels: no clear change")
    assert found.count(found[0]) == 1  # the section below the title does not say it again
    assert found[1] == "Soft labels and hard labels: no clear difference, +1.9 points [−3.4, +7.1] at IPC 1"
    assert "12 members that are probes, or speak to the questions above alone, are left out" in text
    assert not any(heading.startswith("Select") for heading in found)


def test_losses_are_told_side_by_side_and_the_curves_are_those_of_the_usual_one(tmp_path, no_drawing):
    rows = synthetic.rows(seeds=3, ipcs=(1,), epochs=(5,), loss="soft_cross_entropy", optimizer="adamw")
    rows += synthetic.rows(seeds=3, ipcs=(1,), epochs=(5,), hard=False, seed=1, loss="gift", optimizer="adamw")
    synthetic.write_run(tmp_path / "run", rows)
    found, text = headings([tmp_path / "run"], None)
    assert found[0].startswith("Other losses and soft cross-entropy: no clear difference")
    assert (
        found[1].startswith("Soft labels and hard labels: no clear difference") and "3 members that are probes" in text
    )


def test_a_page_has_an_answer_where_every_member_belongs_to_one_question(tmp_path, no_drawing):
    found, text = headings([chosen_images(tmp_path / "run", ["decile(0)", "decile(9)"])], None)
    assert found[1] == "What to bear in mind" and "n = 3: means have t intervals" in text


def test_members_of_a_question_that_is_not_asked_are_not_hidden(tmp_path, no_drawing):
    found, _ = headings([chosen_images(tmp_path / "run", ["hardest"])], None)
    assert found[:2] == [
        "Soft labels and hard labels: no clear difference, +1.9 points [−3.4, +7.1] at IPC 1",
        "Each budget in numbers",
    ]


def test_probes_are_no_rivals_though_nothing_was_asked_of_them():
    plain, swapped = (synthetic.row(1, f"teacher(epoch=5)|{op}", 0, 0.5, epoch=5) for op in ("topk(3)", "swap(2)"))
    lacking, shuffled = synthetic.row(1, "hard", 0, 0.5, without=0), synthetic.row(1, "teacher|shuffle", 0, 0.5)
    members = groups.tidy([plain, swapped, lacking, shuffled])
    assert questions.common(members, [])["member"].tolist() == [plain["member"]]
    assert len(questions.common(members[1:2], [])) == 1  # better than an empty page


def test_all_failed_in_several_settings_is_said(tmp_path, no_drawing):
    folder = chosen_images(tmp_path / "run", ["random", "hardest"])
    members = [r for way in ("random", "hardest") for r in synthetic.rows(seeds=2, ipcs=(1,), epochs=(5,), select=way)]
    for row in members:
        row.update(status="failed", test_accuracy=None, val_accuracy=None)
    synthetic.write_csv(folder / "results.csv", members)
    assert headings([folder], None)[0][0] == "No member has finished"


def test_many_settings_share_one_table(tmp_path, no_drawing):
    members = [r for k in range(7) for r in synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(5,), model=f"mlp(width={k})")]
    synthetic.write_run(tmp_path, members)
    found, text = headings([tmp_path], None)
    assert found[0].startswith("In 7 settings soft labels win ") and len(found) <= 5
    assert len(re.findall(r"^\| model `mlp\(width=\d\)` \| [15] \|", text, re.MULTILINE)) == 14
    assert "n = 3: means have t intervals" in text


def test_runs_that_differ_in_what_no_column_says_are_kept_apart(tmp_path, no_drawing):
    folders = []
    for name, gain in (("plain", 0.0), ("augmented", 0.05)):
        members = synthetic.rows(seeds=3, ipcs=(1,), epochs=(5,))
        for r in members:
            r.update(member=f"{name[:4]}{r['member'][4:]}", test_accuracy=round(r["test_accuracy"] + gain, 4))
        synthetic.write_run(tmp_path / name, members)
        folders.append(tmp_path / name)
    found, _ = headings(folders, tmp_path / "both")
    assert any(heading.startswith("Run `plain`: ") for heading in found)
    assert any(heading.startswith("Run `augmented`: ") for heading in found)


def test_more_seeds_of_the_same_members_are_one_curve(tmp_path, no_drawing):
    members = synthetic.rows(seeds=6, ipcs=(1,), epochs=(5,))
    for name, half in (("a", members[:6]), ("b", members[4:])):  # two members are in both
        synthetic.write_run(tmp_path / name, half)
    found, text = headings([tmp_path / "a", tmp_path / "b"], tmp_path / "both")
    assert not any(heading.startswith("Run ") for heading in found) and "12 finished, 0 failed" in text


def test_one_question_of_many_settings_is_bounded(tmp_path, no_drawing):
    members = [
        r
        for k in range(9)
        for way in ("decile(0)", "decile(9)")
        for r in synthetic.rows(seeds=3, ipcs=(1,), epochs=(), select=way, model=f"mlp(width={k})")
    ]
    synthetic.write_run(tmp_path, members)
    found, text = headings([tmp_path], None)
    assert sum("The choice of images moves accuracy by" in heading for heading in found) == 6
    assert "The same question in further settings" in text and "mlp(width=8)" in text


def test_the_html_file_may_be_named(tmp_path, no_drawing):
    folder = small(tmp_path / "run")
    assert report.write_report([folder], tmp_path / "out" / "mine.html") == tmp_path / "out" / "mine.html"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"mine.html", "summary.md", "plots"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path, no_drawing):
    folder = small(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.CheckpointError, match="cannot write the report to .*file"):
        report.write_report([folder], tmp_path / "file" / "out")
