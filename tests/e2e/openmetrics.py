"""A strict reader of OpenMetrics text 1.0, for tests: whatever the standard
forbids is a ValueError that names the line.

    families = parse(text)
    families["postern_smtp_messages"].value(result="accepted")
"""
import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z")
TYPES = {"counter": ("_total", "_created"), "gauge": ("",),
         "histogram": ("_bucket", "_count", "_sum", "_created")}


class Family:
    def __init__(self, name):
        self.name = name
        self.type = self.unit = self.help = None
        self.samples = []  # (suffix, labels as a dict, value)

    def value(self, suffix=None, **labels):
        """Of the one sample with exactly these labels."""
        suffix = suffix if suffix is not None else TYPES[self.type][0]
        found = [v for s, d, v in self.samples if s == suffix and d == labels]
        if len(found) != 1:
            raise KeyError(f"{self.name}{suffix}{labels}: {len(found)}")
        return found[0]

    def total(self):
        return sum(v for s, _, v in self.samples if s == "_total")


def number(text):
    if text in ("+Inf", "-Inf", "NaN"):
        return float(text)
    if not NUMBER.match(text):
        raise ValueError(f"no number: {text!r}")
    return float(text)


def unescape(text, quote):
    out, i = "", 0
    while i < len(text):
        c = text[i]
        if c == "\n" or (quote and c == '"'):
            raise ValueError(f"not escaped: {text!r}")
        if c == "\\":
            i += 1
            if i == len(text) or text[i] not in '\\n"':
                raise ValueError(f"bad escape: {text!r}")
            c = {"\\": "\\", "n": "\n", '"': '"'}[text[i]]
        out += c
        i += 1
    return out


def labels_of(text):
    """What stands between the braces."""
    labels, rest = {}, text
    while rest:
        m = re.match(r'([^=]*)="((?:\\.|[^"\\])*)"(,|\Z)', rest, re.S)
        if not m or not LABEL.match(m[1]) or m[1] in labels:
            raise ValueError(f"labels: {text!r}")
        labels[m[1]] = unescape(m[2], True)
        rest = rest[m.end():]
        if m[3] == "," and not rest:
            raise ValueError(f"labels end in a comma: {text!r}")
    return labels


def sample(line):
    m = re.match(r"([^{ ]+)(?:\{(.*)\})? ([^ ]+)\Z", line)
    if not m or not NAME.match(m[1]):
        raise ValueError("no sample")
    if m[2] == "":
        raise ValueError("empty braces")
    return m[1], labels_of(m[2] or ""), number(m[3])


def check_histogram(f):
    series, order = {}, []
    for suffix, labels, value in f.samples:
        rest = {k: v for k, v in labels.items() if k != "le"}
        if ("le" in labels) != (suffix == "_bucket"):
            raise ValueError(f"{f.name}: label le")
        key = tuple(sorted(rest.items()))
        if key not in series:
            order.append(key)
            series[key] = []
        elif order[-1] != key:
            raise ValueError(f"{f.name}: {key} is not in one place")
        series[key].append((suffix, labels.get("le"), value))
    for key, rows in series.items():
        buckets = [(number(le), v) for s, le, v in rows if s == "_bucket"]
        bounds = [le for le, _ in buckets]
        if bounds != sorted(set(bounds)) or bounds[-1] != math.inf:
            raise ValueError(f"{f.name}: bounds {bounds}")
        if any("." not in le and le != "+Inf" for s, le, _ in rows if le):
            raise ValueError(f"{f.name}: a bound is no float")
        counts = [v for _, v in buckets]
        if counts != sorted(counts):
            raise ValueError(f"{f.name}: counts fall")
        if [v for s, _, v in rows if s == "_count"] != [counts[-1]]:
            raise ValueError(f"{f.name}: _count is not the last bucket")
        if len([1 for s, _, _ in rows if s == "_sum"]) != 1:
            raise ValueError(f"{f.name}: no _sum")


def check(f):
    if f.type is None:
        raise ValueError(f"{f.name}: no TYPE")
    if f.unit and not f.name.endswith("_" + f.unit):
        raise ValueError(f"{f.name}: the unit {f.unit} is not in its name")
    seen = set()
    for suffix, labels, value in f.samples:
        key = suffix, tuple(sorted(labels.items()))
        if key in seen:
            raise ValueError(f"{f.name}: twice {key}")
        seen.add(key)
        if suffix in ("_total", "_bucket", "_count") and (
                value < 0 or math.isnan(value)):
            raise ValueError(f"{f.name}: {value}")
    if f.type == "histogram":
        check_histogram(f)


def family_of(name, families, last):
    """The family a sample belongs to: the one under way."""
    for suffix in TYPES.get(last.type, ("",)) if last else ():
        if name == last.name + suffix:
            return suffix
    raise ValueError(f"{name} does not belong here")


def parse(text):
    if not text.endswith("# EOF\n"):
        raise ValueError("the end is missing")
    families, last = {}, None
    for n, line in enumerate(text[:-len("# EOF\n")].split("\n")[:-1], 1):
        try:
            if line.startswith("#"):
                m = re.match(r"# (TYPE|UNIT|HELP) ([^ ]+) (.*)\Z", line)
                if not m or not NAME.match(m[2]):
                    raise ValueError("no metadata")
                if last is None or last.name != m[2]:
                    if m[2] in families:
                        raise ValueError("a family in two places")
                    last = families[m[2]] = Family(m[2])
                key = m[1].lower()
                if last.samples or getattr(last, key) is not None:
                    raise ValueError("metadata twice or too late")
                if key == "type" and m[3] not in TYPES:
                    raise ValueError("unknown type")
                setattr(last, key, unescape(m[3], False)
                        if key == "help" else m[3])
                continue
            name, labels, value = sample(line)
            last.samples.append((family_of(name, families, last), labels,
                                 value))
        except (ValueError, AttributeError) as e:
            raise ValueError(f"line {n}: {line!r}: {e}") from None
    names = {}
    for f in families.values():
        check(f)
        for suffix in TYPES[f.type]:
            if names.setdefault(f.name + suffix, f.name) != f.name:
                raise ValueError(f"{f.name} and {names[f.name + suffix]} "
                                 "clash")
    return families
