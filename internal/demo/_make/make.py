#!/usr/bin/env python3
"""Regenerate the data files of package demo.

    python3 internal/demo/_make/make.py --data DIR [--out internal/demo/data]

DIR is a folder with the public data sets under these names:

    tables-fivethirtyeight/fivethirtyeight-csv.tar.gz   CSVs of github fivethirtyeight/data (CC BY 4.0)
    debian12-packages/packages.tsv.gz                   Debian 12 main/amd64: package, section, description, tags
    emoji/emoji.json.gz                                 npm emoji-datasource 16.0.0 (MIT)
    emoji/emojibase-en-data.json.gz                     npm emojibase-data 17.0.0 (MIT)

Only the standard library is used, and the same input gives the same bytes.
Each output is gzipped JSON lines, one document a line with its id in "id".
"""
import argparse
import csv
import gzip
import hashlib
import html
import io
import json
import os
import re
import tarfile

# The biopics table was decoded once too often with the wrong code page. First
# match wins; "Ì_" stands for two letters, so the words with the rarer one are listed.
MOJIBAKE = {
    "BÌ_low": "Bülow", "BrÌ_hl": "Brühl", "JÌ_rgen": "Jürgen", "Ì_": "í",
    "ÌÄå©": "é", "ÌÄå_": "ü", "ÌÄå¦": "ö", "Ìø": "ï", "Ì©": "é", "ÌÁ": "á", "Ì¦": "ö", "Ì¤": "ç",
    "Ì¬": "è", "Ì£": "ã", "Ì±": "ñ", "Ì´": "å", "ÌÉ": "Å", "Ìä": "É", "\x81â": "ł", "\x89Ûª": "’",
}


def text(s):
    """Unescape HTML, mend known damage and squeeze white space."""
    for wrong, right in MOJIBAKE.items():
        s = s.replace(wrong, right)
    return re.sub(r"\s+", " ", html.unescape(html.unescape(s))).strip()


def dollars(s):
    """'$56.7M', '$537K', '13000000' -> whole dollars, or None."""
    m = re.fullmatch(r"\$?([0-9.]+)([KMB]?)", s.strip().replace(",", ""))
    if not m:
        return None
    return round(float(m[1]) * {"": 1, "K": 1e3, "M": 1e6, "B": 1e9}[m[2]])


def title(s):
    """'Butler, The' -> 'The Butler'; stray years and white space go."""
    s = text(s)
    m = re.fullmatch(r"(.*), (The|A|An)", s)
    return f"{m[2]} {m[1]}" if m else s


def slug(s):
    return re.sub(r"[^a-z0-9]+", "-", s.lower()).strip("-")


COUNTRIES = {"US": "United States", "UK": "United Kingdom"}
SUBJECTS = {"other": None, "author (poet)": "poet", "academic (philosopher)": "philosopher"}
BECHDEL = {"ok": "passes", "dubious": "disputed", "men": "only about men", "notalk": "no talk", "nowomen": "fewer than two women"}


def films(root):
    """Join the Bechdel, biopics and Fandango tables on IMDb id or title and year."""
    with tarfile.open(os.path.join(root, "tables-fivethirtyeight", "fivethirtyeight-csv.tar.gz")) as tar:
        def table(name, encoding):
            return list(csv.DictReader(io.StringIO(tar.extractfile(name).read().decode(encoding))))
        bechdel = table("bechdel/movies.csv", "utf-8")
        biopics = table("biopics/biopics.csv", "latin-1")
        fandango = table("fandango/fandango_score_comparison.csv", "utf-8")
    out = {}
    for r in bechdel:
        d = {"title": title(r["title"]), "year": int(r["year"]), "bechdel": BECHDEL[r["clean_test"]],
             "passes_bechdel": r["binary"] == "PASS", "budget": dollars(r["budget"]),
             "gross_us": dollars(r["domgross"]), "gross": dollars(r["intgross"]), "tables": ["bechdel"]}
        out.setdefault(r["imdb"], d)
    for r in biopics:
        key = re.search(r"tt\d+", r["site"])[0]
        d = out.setdefault(key, {"title": title(r["title"]), "year": int(r["year_release"]), "tables": []})
        d["biopic"] = True
        if "biopics" not in d["tables"]:
            d["tables"].append("biopics")
        director, lead = text(r["director"]), text(r["lead_actor_actress"])
        d["director"] = [text(x) for x in re.split(r", | and ", director) if x.strip()]
        d["country"] = [COUNTRIES.get(c.strip(), c.strip()) for c in r["country"].split("/")]
        if r["box_office"].startswith("$") and "gross_us" not in d:
            d["gross_us"] = dollars(r["box_office"])
        subject = text(r["subject"])
        if subject and subject not in d.setdefault("subject", []):
            d["subject"].append(subject)
        if lead and lead not in d.setdefault("lead", []):
            d["lead"].append(lead)
        for k in r["type_of_subject"].lower().split("/"):
            k = SUBJECTS.get(k.strip(), k.strip())
            if k and k not in d.setdefault("subject_kind", []):
                d["subject_kind"].append(k)
    known = {(d["title"].lower(), d["year"]): d for d in out.values()}
    for r in fandango:
        name, year = re.fullmatch(r"(.*) \((\d{4})\)", text(r["FILM"])).groups()
        d = known.get((name.lower(), int(year)))
        if d is None:
            d = {"title": name, "year": int(year), "tables": []}
            out[slug(f"{name} {year}")] = d
        d["tables"].append("fandango")
        d.update(rotten_tomatoes=int(r["RottenTomatoes"]), metacritic=int(r["Metacritic"]), imdb=float(r["IMDB"]),
                 imdb_votes=int(r["IMDB_user_vote_count"]), fandango_stars=float(r["Fandango_Stars"]))
    for key, d in sorted(out.items(), key=lambda kv: (kv[1]["year"], kv[1]["title"], kv[0])):
        d.setdefault("biopic", False)
        d["decade"] = f"{d['year'] // 10 * 10}s"
        d["about"] = about(d)
        yield key, {k: v for k, v in d.items() if v not in (None, [], "")}


def about(d):
    """One line of text for the encoder, from what the tables say."""
    if not d["biopic"]:
        return ""
    kinds = " and ".join(d.get("subject_kind", []))
    who = " and ".join(d.get("subject", []))
    line = "Biography of " + (f"{kinds} " if kinds else "") + who if who else "Biography"
    return line + (", directed by " + " and ".join(d["director"]) if d.get("director") else "")


SKIP_SECTIONS = {"libdevel", "libs", "doc", "debug", "oldlibs", "metapackages", "tasks", "localization", "introspection", "perl"}


def packages(root):
    """Programs of Debian 12: what has the debtag role::program and is no library."""
    with gzip.open(os.path.join(root, "debian12-packages", "packages.tsv.gz"), "rt", encoding="utf-8") as f:
        rows = list(csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    for name, section, description, tags, _ in sorted(rows[1:]):
        tags = [t for t in tags.split("|") if t and not t.endswith("::TODO")]
        if "role::program" not in tags or section in SKIP_SECTIONS:
            continue
        facet = lambda p: [t.split("::", 1)[1] for t in tags if t.startswith(p + "::")]
        yield name, {k: v for k, v in {
            "name": name, "section": section, "description": text(description), "use": facet("use"),
            "interface": facet("interface"), "works_with": facet("works-with"), "language": facet("implemented-in"),
            "toolkit": facet("uitoolkit"), "tags": [t for t in tags if t != "role::program"]}.items() if v}


def emoji(root):
    """Names and categories of emoji-datasource, keywords of emojibase, joined on the code points."""
    def load(name):
        with gzip.open(os.path.join(root, "emoji", name), "rt", encoding="utf-8") as f:
            return json.load(f)
    plain = lambda code: code.replace("-FE0F", "")
    base = {plain(e["hexcode"]): e for e in load("emojibase-en-data.json.gz")}
    for e in sorted(load("emoji.json.gz"), key=lambda e: e["sort_order"]):
        if e["category"] == "Component":
            continue
        b = base[plain(e["unified"])]
        keywords = [t for t in b.get("tags", []) if t != b["label"]]
        yield e["unified"].lower(), {
            "emoji": "".join(chr(int(c, 16)) for c in e["unified"].split("-")), "name": b["label"],
            "keywords": keywords, "about": " ".join(keywords), "short_name": e["short_name"], "group": e["category"],
            "subgroup": e["subcategory"], "version": float(e["added_in"]), "skin_tones": "skin_variations" in e}


# Regions of the United Nations' M49 standard, and in which order the survey asks.
REGIONS = {
    "Northern Africa": ["Algeria"], "Middle Africa": ["Cameroon"], "Eastern Africa": ["Ethiopia"],
    "Western Africa": ["Ghana", "Ivory Coast", "Nigeria"],
    "Northern America": ["United States"], "Central America": ["Costa Rica", "Honduras", "Mexico"], "Caribbean": ["Cuba"],
    "South America": ["Argentina", "Brazil", "Chile", "Colombia", "Ecuador", "Uruguay"],
    "Eastern Asia": ["China", "Japan", "South Korea"], "Southern Asia": ["India", "Iran"],
    "South-eastern Asia": ["Thailand", "Vietnam"], "Western Asia": ["Turkey"],
    "Northern Europe": ["England", "Ireland"], "Western Europe": ["Belgium", "France", "Germany", "Netherlands", "Switzerland"],
    "Southern Europe": ["Bosnia and Herzegovina", "Croatia", "Greece", "Italy", "Portugal", "Spain"], "Eastern Europe": ["Russia"],
    "Australia and New Zealand": ["Australia"],
}
CONTINENTS = {"America": "Americas", "Caribbean": "Americas", "Zealand": "Oceania"}


def survey(root):
    """The Food World Cup table: countries in order of its columns, and rows of ratings, "1" to "5" where there is one."""
    with tarfile.open(os.path.join(root, "tables-fivethirtyeight", "fivethirtyeight-csv.tar.gz")) as tar:
        head, *rows = csv.reader(io.StringIO(tar.extractfile("food-world-cup/food-world-cup-data.csv").read().decode("mac-roman")))
    countries = [re.search(r"cuisine\sof\s+(?:the )?(.+?)[.:]$", c)[1] for c in head[3:43]]
    return countries, [(r[0], r[3:43]) for r in rows]


def cuisines(root):
    """Cuisines with what the respondents of the survey think of them all in all."""
    countries, rows = survey(root)
    region = {c: r for r, all_of in REGIONS.items() for c in all_of}
    for i, c in enumerate(countries):
        given = [int(r[i]) for _, r in rows if r[i] in "12345" and r[i]]
        last = region[c].split()[-1]
        yield slug(c), {"name": c, "about": "traditional food of " + region[c], "region": region[c], "continent": CONTINENTS.get(last, last),
                        "rated": len(given), "liked": round(sum(g >= 4 for g in given) / len(given), 3)}


def likes(root):
    """What each respondent gave 4 or 5 of 5. The survey has no times: the order is that of a hash."""
    countries, rows = survey(root)
    for n, (respondent, given) in enumerate(rows, 1):
        liked = [slug(c) for c, g in zip(countries, given) if g in ("4", "5")]
        liked.sort(key=lambda c: hashlib.sha256((respondent + " " + c).encode()).digest())
        if liked:
            yield f"r{n}", {"likes": liked}


def write(path, docs):
    n = 0
    with open(path, "wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=9, mtime=0) as z:
        for key, doc in docs:
            z.write((json.dumps({"id": key, **doc}, ensure_ascii=False, separators=(",", ":")) + "\n").encode())
            n += 1
    print(f"{path}: {n} documents, {os.path.getsize(path)} bytes")


def main():
    p = argparse.ArgumentParser(description="Regenerate the data files of package demo.")
    p.add_argument("--data", required=True, help="folder of the public data sets")
    p.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "..", "data"))
    a = p.parse_args()
    for name, docs in (("films", films), ("packages", packages), ("emoji", emoji), ("cuisines", cuisines), ("likes", likes)):
        write(os.path.join(a.out, name + ".jsonl.gz"), docs(a.data))


if __name__ == "__main__":
    main()
