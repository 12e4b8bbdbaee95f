"""Commands and files of tests/golden/corpus, with the slips and the malice of which a seeded die decides."""

from __future__ import annotations

import random
import shlex
from pathlib import Path

from yarn_submitter.options import OPTIONS

CORPUS = Path(__file__).parent / "golden" / "corpus"
COMMANDS = [shlex.split(path.read_text().replace("\\\n", ""))[2:] for path in sorted(CORPUS.glob("*.sh"))]
DESCRIPTIONS = [path.read_bytes() for path in sorted(CORPUS.glob("*.yaml")) if path.name != "index.yaml"]
NASTY = (
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\udc80",
        "\ud800x",
        "\x1b[31mred\x1b[0m",
        "\x9b2J",
        "\x07",
        "\r",
        "\n",
        "\t",
        "\x7f",
        "\u202e",
        "\ufeff",
    ),
    *(
        "=",
        "==",
        ",",
        ":",
        "::",
        "-",
        "--",
        "---",
        "#archive",
        "#archive:.",
        ".",
        "..",
        "./",
        "~",
        "*",
        "?",
        "%",
        "%input_path%",
    ),
    *(
        "9" * 5000,
        "-1",
        "1e9",
        "²",
        "0x10",
        "NaN",
        "99999999999999999999",
        "a" * 3000,
        "a" * 200_000,
        "é" * 70_000,
        "(" * 500,
    ),
    *(
        "hdfs://",
        "://",
        "hdfs://nn:8020",
        "s3a://b/" + "x" * 5000,
        "file:///etc/passwd",
        "<ys:id>",
        "<ys:",
        "${HOME}",
        "`id`",
    ),
    *(
        "memory=" + "0" * 3000 + "1G",
        "memory=1G" + " " * 3000 + "x",
        "memory=1G," * 200,
        "memory=1T",
        "a=b=c",
        "K=" + "v" * 90_000,
    ),
    *(
        "worker",
        "worker=",
        "worker=K=V",
        "ps:0",
        "true",
        "null",
        "UI=http://worker-0:80",
        "a.zip#archive:./a",
        "/a:/b:rw",
        "1d2h",
        "2:4",
        "4:2",
        ":",
        "worker=worker",
        "worker=ps:succeeded",
        "20000-20999",
        "none",
    ),
)
SNIPPETS = (
    *(
        b"\0",
        b"\xff\xfe",
        b"\x80",
        b"\t",
        b"\r",
        b"\x1b[2J",
        b"\xc2\x9b",
        b"\xe2\x80\xae",
        b"\xef\xbb\xbf",
        b"'",
        b'"',
        b"`",
        b"@",
        b"|",
        b">-",
    ),
    *(
        b": ",
        b"- ",
        b"? ",
        b"&a ",
        b"*a",
        b"<<: *a",
        b"<<: {<<: {}}",
        b"!!binary ",
        b"!!python/object:os.system ",
        b"!x ",
        b"%YAML 9.9",
        b"---\n",
        b"...\n",
    ),
    *(
        b"[" * 400,
        b"{a: " * 200,
        b"- " * 300,
        b"~",
        b"null",
        b"{}",
        b"[]",
        b"1e3",
        b"0o17",
        b"yes",
        b"2024-01-05",
        b"\\ud800",
        b'"\\0"',
        b'"\\ud83d\\ude42"',
    ),
    *(
        b"spec:",
        b"roles:",
        b"tensorBoard:",
        b"replicas: 100001",
        b"replicas: 100000",
        b"# x",
        b"a" * 5000,
        b"\n",
        b"\n ",
        b"\n  ",
    ),
)


def words_of(dice: random.Random) -> list[str]:
    """Return the words of a mutated command."""
    words = list(dice.choice(COMMANDS))
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        at = dice.randrange(len(words) + 1)
        match dice.randrange(8):
            case 0:
                words[at : at + 1] = []
            case 1:
                words[at:at] = [f"{dice.choice(('-', '--'))}{dice.choice(OPTIONS).name}", dice.choice(NASTY)]
            case 2:
                words[at : at + 1] = [dice.choice(NASTY)]
            case 3:
                other = dice.choice(COMMANDS)
                start = dice.randrange(len(other))
                words[at:at] = other[start : start + dice.randrange(1, 6)]
            case 4 if at < len(words):
                words[at] = cut(words[at], dice)
            case 5 if at < len(words):
                words[at] += dice.choice(NASTY)
            case 6:
                dice.shuffle(words)
            case 7:
                words[at:at] = [f"--{dice.choice(OPTIONS).name}={dice.choice(NASTY)}"]
    return words


def cut(word: str, dice: random.Random) -> str:
    """Return a word with something in its middle taken away or put there."""
    at = dice.randrange(len(word) + 1)
    return word[:at] + dice.choice((*"=,:-#/ \0\x1b", "", dice.choice(NASTY))) + word[at + dice.randrange(3) :]


def content_of(dice: random.Random) -> bytes:
    """Return the content of a mutated file."""
    if dice.randrange(20) == 0:
        return dice.randbytes(dice.randrange(300))
    content = dice.choice(DESCRIPTIONS)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        content = dice.choice((with_bytes_changed, with_lines_changed))(content, dice)
    return content


def with_bytes_changed(content: bytes, dice: random.Random) -> bytes:
    """Return a file with something put in, taken out, or made another byte."""
    at = dice.randrange(len(content) + 1)
    match dice.randrange(3):
        case 0:
            return content[:at] + dice.choice(SNIPPETS) + content[at:]
        case 1:
            return content[:at] + content[at + dice.randrange(1, 20) :]
        case _:
            return content[:at] + bytes([dice.randrange(256)]) + content[at + 1 :]


def with_lines_changed(content: bytes, dice: random.Random) -> bytes:
    """Return a file with a line left out, doubled, indented or given another value, or with another file's end."""
    lines = content.split(b"\n")
    at = dice.randrange(len(lines))
    match dice.randrange(5):
        case 0:
            lines[at : at + 1] = []
        case 1:
            lines[at:at] = [lines[at]]
        case 2:
            lines[at] = b"  " + lines[at]
        case 3:
            other = dice.choice(DESCRIPTIONS).split(b"\n")
            lines[at:] = other[dice.randrange(len(other)) :]
        case _:
            value = dice.choice((*SNIPPETS, dice.choice(NASTY).encode(errors="ignore")))
            lines[at] = lines[at].partition(b":")[0] + b": " + value
    return b"\n".join(lines)
