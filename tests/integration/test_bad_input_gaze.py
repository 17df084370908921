"""What users get wrong around gaze: one line that names file and row, exit code 2, nothing on stdout, nothing written.

The real command line in this process, on real files; each case is one mistake in otherwise good input.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gazetune.cli.main import main
from gazetune.config import MEASURES
from gazetune.gaze.words import text_key, word_spans

REPLY = "The quick brown fox jumps over it."
PAIR = {"prompt": "Tell me.", "chosen": REPLY, "rejected": "No dog here."}
READ = "sentence_id,word_id,word,nFix,FFD,GPT,TRT,fixProp\n0,0,the,1,1,1,1,10\n0,1,cat<EOS>,2,2,2,2,20\n"
FIXATIONS = "x,y,duration\n" + "".join(f"{10 + 40 * place},15,0.2\n" for place in range(7))
BOXES = "text,x1,y1,x2,y2\n" + "".join(
    f"{word},{40 * place},10,{40 * place + 38},30\n" for place, word in enumerate(REPLY.split())
)
RECORDED = "number;text;x1;y1;x2;y2;fix_duration;first_fix_duration;fix_number;fixations\n" + "".join(
    f"{place};{word};{40 * place};10;{40 * place + 38};30;0.2;0.2;1;[{place}]\n"
    for place, word in enumerate(REPLY.split())
)
NOISE = bytes(range(256)) * 20


def table(**wrong: object) -> bytes:
    """Recorded measures of all texts of the pair, with something wrong in the second row of the reply."""
    rows = []
    for text in PAIR.values():
        for start, end in word_spans(text).tolist():
            rows.append(
                {
                    "text_sha256": text_key(text).hex(),
                    "reader": "r",
                    "word": text[start:end],
                    "start": start,
                    "end": end,
                    **dict.fromkeys(MEASURES, 1.0),
                }
            )
    rows[3] |= wrong
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with good input of every kind."""
    (tmp_path / "pairs.jsonl").write_text(json.dumps(PAIR) + "\n")
    (tmp_path / "read.csv").write_text(READ)
    (tmp_path / "fixations.csv").write_text(FIXATIONS)
    (tmp_path / "boxes.csv").write_text(BOXES)
    (tmp_path / "recorded.parquet").write_bytes(table())
    (tmp_path / "folder").mkdir()
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "word_cor_image_fixations_1.1.r1.csv").write_text(RECORDED)
    return tmp_path


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def refusal(line: str, desk: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """Run a command line on the desk, whose files are named `@file` in it, and return the line that refuses it."""
    before = everything(desk)
    try:
        code = main(re.sub("@", f"{desk}/", line).split())
    except SystemExit as ended:
        code = ended.code
    out, error = capfd.readouterr()
    assert (code, out) == (2, ""), error
    assert error.count("\n") == 1 and error.startswith("gazetune: error: ")
    assert everything(desk) == before
    return error.replace(f"{desk}/", "")


WRONG_CSV: list[tuple[str | bytes, str]] = [
    (READ.replace("GPT", "gpt"), "bad.csv row 1: column 'GPT' is missing; it has sentence_id"),
    (READ.replace("word_id", "word"), "bad.csv row 1: column 'word' is there twice"),
    (READ + "1,0,,1,1,1,1,1\n", "bad.csv row 3: word: is empty"),
    (READ + "1,0, ,1,1,1,1,1\n", "bad.csv row 3: word: is empty"),
    (READ + "1,0,<EOS>,1,1,1,1,1\n", "bad.csv row 3: word: ''; accepted: one word"),
    (READ + "1,0,a,1,-5,1,1,1\n", "bad.csv row 3: FFD: -5; accepted: 0 to 100"),
    (READ + "1,0,a,nan,1,1,1,1\n", "bad.csv row 3: nFix: nan; accepted: 0 to 100"),
    (READ + "1,0,a,1,1,1,inf,1\n", "bad.csv row 3: TRT: inf; accepted: 0 to 100"),
    (READ + "1,0,a,1e400,1,1,1,1\n", "bad.csv row 3: nFix: 1e400; accepted: 0 to 100"),
    (READ + '1,0,a,"1,5",1,1,1,1\n', "bad.csv row 3: nFix: '1,5' is no number"),
    (READ + "1,0,a,1,5,1,5,1,1,1\n", "bad.csv row 3: has more values than the header has columns"),
    (READ + "1,0,a,1\n", "bad.csv row 3: has fewer values than the header has columns"),
    (READ + "1,0,a,1,1,1,1,1\n0,2,b,1,1,1,1,1\n", "bad.csv row 4: sentence_id: 0 comes in two pieces"),
    (READ + f"1,0,{'a' * 140_000},1,1,1,1,1\n", "bad.csv row 3: cannot be read as CSV (field larger"),
    ((READ + "1,0,café,1,1,1,1,1\n").encode("latin-1"), "bad.csv row 3: is not UTF-8"),
    (READ.encode("utf-16"), "bad.csv: is not UTF-8 (invalid start byte); accepted: CSV saved as UTF-8"),
    (READ.replace(",", "\t"), "bad.csv row 1: columns 'sentence_id', 'word', 'nFix'"),
    (json.dumps(PAIR) + "\n", "bad.csv row 1: columns 'sentence_id', 'word', 'nFix'"),
    (READ.splitlines()[0] + "\n", "bad.csv row 1: is missing; the file has a header alone"),
    (NOISE, "bad.csv row 1: is not UTF-8"),
    ("", "bad.csv: is empty; accepted: CSV with a header"),
]


@pytest.mark.parametrize(("content", "expected"), WRONG_CSV)
def test_a_wrong_csv_of_measured_words(
    content: str | bytes, expected: str, desk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (desk / "bad.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    for line in (
        "gaze evaluate --predictor lexical --data @bad.csv --json",
        "gaze fit --data @bad.csv --valid @read.csv --out @fitted",
        "gaze fit --data @read.csv --valid @bad.csv --out @fitted",
        "gaze plot --compare @bad.csv --out @picture.png",
    ):
        assert expected in refusal(line, desk, capfd)


@pytest.mark.parametrize(
    "content",
    [
        READ.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + READ.encode(),
        READ.replace(",", ";").encode(),
        READ.replace("\n", ",\n").encode(),
        (READ + "\n").encode(),
    ],
    ids=["CRLF", "byte-order mark", "semicolons", "separator at the end", "blank line"],
)
def test_what_spreadsheets_do_to_a_csv_is_no_mistake(
    content: bytes, desk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (desk / "read.csv").write_bytes(content)
    assert main(["gaze", "evaluate", "--predictor", "lexical", "--data", str(desk / "read.csv"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["words"] == 2


LINES = [
    ("gaze evaluate --predictor lexical --data @absent.csv", "absent.csv: cannot be read as CSV (No such file"),
    ("gaze evaluate --predictor lexical --data @folder", "folder: cannot be read as CSV (Is a directory)"),
    ("gaze fit --data @read.csv --valid @read.csv --out @folder", "folder: exists already"),
    ("gaze fit --data @read.csv --valid @read.csv --out @pairs.jsonl/x", "pairs.jsonl/x: cannot be written"),
    ("gaze predict --text word --predictor lexicl", "'lexicl' is no gaze predictor; did you mean 'lexical'?"),
    ("gaze predict --text word --path @absent", "absent: no readable weights of the lexical predictor"),
    ("gaze predict --text word --path @pairs.jsonl", "pairs.jsonl: no readable weights of the lexical predictor"),
    ("gaze predict --text word --predictor recorded", "gaze.path: is not set; gaze.predictor 'recorded' needs"),
    ("gaze predict --text word --predictor recorded --path @absent", "absent: cannot be read as Parquet"),
    ("gaze predict --text word --predictor recorded --path @read.csv", "read.csv: cannot be read as Parquet"),
    ("gaze predict --text word --predictor recorded --path @recorded.parquet", "1 of 1 texts have no recording"),
    ("gaze predict --text word --predictor bilstm", "gaze.path: is not set; gaze.predictor 'bilstm' needs"),
    ("gaze predict --text word --predictor bilstm --path @absent.pt", "absent.pt' does not exist"),
    ("gaze predict --text word --predictor bilstm --path @read.csv", "read.csv: neither a torch checkpoint nor"),
    ("gaze predict --text word --predictor roberta --path @absent.pt", "absent.pt' does not exist"),
    ("gaze predict --text word --predictor roberta --path @folder", "folder has no weights file"),
    ("gaze predict --text word --predictor planted --path @read.csv", "gaze.path: gaze.predictor 'planted' reads no"),
    ("gaze plot --text word --out @picture.jpg", "picture.jpg'; accepted: a file that ends in .png or .html"),
    ("gaze plot --text word --out @absent/picture.png", "absent/picture.png': there is no folder"),
    ("gaze plot --text word --measure trt --out @picture.png", "--measure: 'trt' is no reading measure"),
    ("gaze plot --pair @pairs.jsonl:2 --out @picture.html", "pairs.jsonl has no row 2; the last one is 1"),
    ("gaze plot --pair @absent.jsonl:1 --out @picture.html", "there is no file 'absent.jsonl'"),
    ("gaze stimuli --data @pairs.jsonl --out @study", "study: is there already; accepted: a folder to make"),
    ("gaze stimuli --data @read.csv --out @screens", "read.csv' has an unknown file type; accepted: .jsonl"),
    ("gaze stimuli --data @pairs.jsonl --out @screens --screen 90000x90000", "at most 16384 pixels each way"),
    ("gaze import @study --data @absent.jsonl --out @out.parquet", "there is no file 'absent.jsonl'"),
    ("gaze import @absent --data @pairs.jsonl --out @out.parquet", "absent: does not exist"),
    ("gaze import @folder --data @pairs.jsonl --out @out.parquet", "folder: has no recordings"),
    ("gaze import @study --data @pairs.jsonl --out @folder", "folder: cannot be written (Is a directory)"),
    ("gaze import @study --data @pairs.jsonl --out @out.parquet --screen 100x100", "row 3: x1,y1,x2,y2: 80,10,118,30"),
    ("gaze import @study --data @pairs.jsonl --out @out.parquet --max-distance nan", "max_distance: nan; accepted: 0"),
]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_a_wrong_command_line(line: str, expected: str, desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert expected in refusal(line, desk, capfd)


@pytest.mark.parametrize("text", ["", " \n\t", "\u3000"])
@pytest.mark.parametrize("rest", [["predict"], ["predict", "--predictor", "planted"], ["plot", "--out", "@a.png"]])
def test_a_text_without_words(text: str, rest: list[str], desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = everything(desk)
    assert main(["gaze", *(each.replace("@", f"{desk}/") for each in rest), "--text", text]) == 2
    out, error = capfd.readouterr()
    assert out == "" and error.count("\n") == 1 and "has no words" in error
    assert everything(desk) == before


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("fixations", FIXATIONS + "1,2,-0.1\n", "fixations.csv row 8: duration: '-0.1'; accepted: a number >= 0"),
        ("fixations", FIXATIONS + "1,2,250\n", "fixations.csv row 8: duration: '250'; accepted: seconds, at most 60"),
        ("fixations", FIXATIONS + "nan,2,0.1\n", "fixations.csv row 8: x: 'nan'; accepted: a number"),
        (
            "fixations",
            FIXATIONS + "1,1e308,0.1\n",
            "fixations.csv row 8: y: '1e308'; accepted: pixels, -20000 to 20000",
        ),
        ("fixations", FIXATIONS + "1,5,2,0,1\n", "fixations.csv row 8: has more values than the header has columns"),
        ("fixations", FIXATIONS.replace("duration", "x"), "fixations.csv row 1: column 'duration' is missing"),
        ("fixations", NOISE, "fixations.csv row 1: is not UTF-8"),
        ("boxes", BOXES + ",1,2,3,4\n", "boxes.csv row 8: text: is empty; accepted: a word"),
        ("boxes", BOXES + "a,5,2,3,4\n", "boxes.csv row 8: x1,y1,x2,y2: 5,2,3,4; accepted: x1 < x2"),
        ("boxes", BOXES + "a,-5,2,3,4\n", "boxes.csv row 8: x1: '-5'; accepted: pixels, 0 to 20000"),
        ("boxes", "", "boxes.csv: is empty"),
    ],
)
def test_a_wrong_scanpath(
    file: str, content: str | bytes, expected: str, desk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (desk / f"{file}.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    for kind in ("png", "html"):
        line = f"gaze plot --scanpath @fixations.csv @boxes.csv --out @picture.{kind}"
        assert expected in refusal(line, desk, capfd)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (RECORDED.replace("brown", "red"), "r1.csv row 3: word 2 is 'red', but the nearest text has 'brown fox jumps'"),
        (RECORDED.replace("brown", "None"), "r1.csv row 3: word 2 is 'None', but the nearest text has 'brown"),
        (RECORDED.replace("brown", ""), "r1.csv row 3: text: is empty; accepted: a word"),
        (RECORDED[: RECORDED.index("6;it.")], "r1.csv row 6: the recorded words end here, but the text goes on with"),
        (
            RECORDED + "7;more;280;10;300;30;0;0;0;[]\n",
            "r1.csv row 8: word 7 is 'more', but the nearest text has ended",
        ),
        (RECORDED.replace("0.2;0.2;1;[3]", "-0.2;-0.2;1;[3]"), "r1.csv row 4: first_fix_duration: '-0.2'"),
        (RECORDED.replace("0.2;0.2;1;[3]", "200;200;1;[3]"), "row 4: first_fix_duration: '200'; accepted: seconds"),
        (RECORDED.replace("0.2;0.2;1;[3]", "0,2;0,2;1;[3]"), "row 4: first_fix_duration: '0,2'; accepted: a number"),
        (RECORDED.replace("120;10;158", "120;10;1580"), "row 4: x1,y1,x2,y2: 120,10,1580,30 leaves the screen"),
        (RECORDED.replace("fix_number", "fixes"), "r1.csv row 1: column 'fix_number' is missing; it has number"),
        (RECORDED.replace("2;brown", "9;brown"), "row 3: number: '9'; accepted: 2, the word's place"),
        (RECORDED.encode("utf-16"), "r1.csv: is not UTF-8"),
        ("", "r1.csv: is empty"),
    ],
)
def test_a_wrong_recording(content: str | bytes, expected: str, desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = desk / "study" / "word_cor_image_fixations_1.1.r1.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert expected in refusal("gaze import @study --data @pairs.jsonl --out @out.parquet", desk, capfd)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "bad.jsonl: the file is empty"),
        (json.dumps({**PAIR, "chosen": " "}), "bad.jsonl:1: empty reply"),
        (json.dumps({**PAIR, "chosen": None}), "bad.jsonl:1: key 'chosen' must be text"),
        (json.dumps({**PAIR, "chosen": "half \ud83d"}), "bad.jsonl:1: key 'chosen' holds half of a character"),
        (READ, "bad.jsonl:1: not valid JSON"),
        ("café".encode("latin-1"), "bad.jsonl:1: not valid JSON"),
    ],
)
def test_a_wrong_file_of_pairs(
    content: str | bytes, expected: str, desk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (desk / "bad.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    for line in (
        "gaze stimuli --data @bad.jsonl --out @screens",
        "gaze import @study --data @bad.jsonl --out @out.parquet",
        "gaze plot --pair @bad.jsonl:1 --out @picture.html",
    ):
        assert expected in refusal(line, desk, capfd)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"TRT": -1.0}, "recorded.parquet row 4: TRT: -1.0; accepted: 0 or more"),
        ({"FFD": float("nan")}, "recorded.parquet row 4: FFD: nan; accepted: 0 or more"),
        ({"word": None}, "recorded.parquet row 4: word: is missing"),
        ({"word": "slow"}, "recorded.parquet row 4: word: 'slow', but characters 4 to 9 are 'quick'"),
        ({"word": ""}, "recorded.parquet row 4: word: '', but characters 4 to 9 are 'quick'"),
        ({"end": 400}, "row 5: start: 10 lies in another word, which ends at 400"),
    ],
)
def test_a_wrong_table_of_recorded_measures(
    wrong: dict[str, object], expected: str, desk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (desk / "recorded.parquet").write_bytes(table(**wrong))
    line = "gaze plot --pair @pairs.jsonl:1 --predictor recorded --path @recorded.parquet --out @picture.png"
    assert expected in refusal(line, desk, capfd)


@pytest.mark.parametrize(
    ("command", "predictor", "path", "expected"),
    [
        ("train --name mine", "recorded", "bad.parquet", "bad.parquet row 4: TRT: -1.0; accepted: 0 or more"),
        ("train --name mine", "lexical", "absent", "absent: no readable weights of the lexical predictor"),
        ("train --name mine", "bilstm", "absent.pt", "absent.pt' does not exist"),
        ("train --name mine", "lexicl", "absent", "did you mean 'lexical'?"),
        ("search pairs --name mine", "recorded", "bad.parquet", "bad.parquet row 4: TRT: -1.0; accepted: 0 or more"),
        ("search pairs --name mine", "roberta", "absent.pt", "absent.pt' does not exist"),
    ],
)
def test_training_and_search_refuse_a_wrong_predictor_and_make_nothing(
    command: str, predictor: str, path: str, expected: str, desk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [{**PAIR, "prompt": f"Tell me {number}.", "chosen": f"{REPLY} {number}"} for number in range(20)]
    (desk / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (desk / "bad.parquet").write_bytes(table(TRT=-1.0))
    keys = {
        "data.source": desk / "pairs.jsonl",
        "gaze.predictor": predictor,
        "gaze.path": desk / path,
        "gaze.features": "[TRT]",
    }
    settings = [part for key, value in keys.items() for part in ("--set", f"{key}={value}")]
    assert main([*command.split(), "--storage", str(desk / "runs"), *settings]) == 2
    out, error = capfd.readouterr()
    assert out == "" and "Traceback" not in error
    assert expected in error.splitlines()[-1]
    assert not (desk / "runs").exists()


def test_a_search_refuses_a_wrong_predictor_before_it_makes_the_data_set_of_another(
    desk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (desk / "space.yaml").write_text(
        "name: mine\n"
        f"base: {{data: {{pairs: 40}}, gaze: {{features: [TRT], path: {{bilstm: {desk / 'absent.pt'}}}}}}}\n"
        "space: {gaze.predictor: {choice: [planted, bilstm]}}\n"
    )
    before = everything(desk)
    assert main(["search", str(desk / "space.yaml"), "--storage", str(desk / "runs")]) == 2
    assert "absent.pt' does not exist" in capfd.readouterr().err.splitlines()[-1]
    assert everything(desk) == before
